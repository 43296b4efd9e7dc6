"""A systemd unit that starts a deployment when the machine boots."""

import os

from pantheon.deployment.deployment import Deployment
from pantheon.processes import whoami
from pantheon.tiers import ROOT

KEPT = ("PATH", "PANTHEON_HOME", "DOCKER_HOST")  # of the environment: systemd starts programs without the user's

UNIT = """\
[Unit]
Description=Pantheon deployment {name}
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
User={user}
WorkingDirectory={root}
{environment}
ExecStart={command} up --no-run --name {name}
ExecStop={command} down --name {name}
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""


def unit(deployment: Deployment) -> str:
    """Return the text of a unit that brings the deployment up at boot, as the current user, and down at shutdown."""
    environment = [f'Environment="{_escaped(f"{key}={os.environ[key]}")}"' for key in KEPT if os.environ.get(key)]
    return UNIT.format(
        name=deployment.name,
        user=whoami(),
        root=str(ROOT).replace("%", "%%"),
        environment="\n".join(environment),
        command=f'"{_escaped(str(ROOT / "bin" / "pantheon")).replace("$", "$$")}"',
    )


def _escaped(text: str) -> str:
    """Return the text as it stands between quotes in a unit."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
