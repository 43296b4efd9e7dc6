"""Orders, for commands: place them, look at them, and keep credentials of repositories."""

import json
import re
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.dashboard.ask import answer
from pantheon.dashboard.credentials import NAME
from pantheon.dashboard.orders import Orders
from pantheon.deployment import secrets
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.processes import whoami

SERVICE = "orders"
FINISHED = ("done", "failed")
HOST = re.compile(r"[a-z0-9.\[\]:-]+")
S3 = "s3"


class Desk:
    """Asks the deployment's service ``orders``, for the user of this machine.

    Raises:
        PantheonError: the deployment has none.
    """

    def __init__(self, deployment: Deployment, engine: Engine) -> None:
        if not any(each.name == SERVICE for each in engine.planned()):
            raise PantheonError(
                "this deployment takes no orders, which come with the tier kraken.",
                f"Grow to it: `{deployment.command('up', tier='kraken')}`",
            )
        self.engine, self.folder = engine, deployment.state / "volumes" / "orders"

    def ask(self, do: str, **given: str) -> Any:
        """Return the answer to ``list``, ``show`` or ``place``."""
        asked, found = {"do": do, "by": whoami(), **given}, dict[str, Any]()
        if self.engine.on_host:
            return answer(Orders(self.folder), asked)
        Task(self.engine, "pantheon.dashboard.ask", SERVICE)([], found.update, json.dumps(asked).encode())
        return found["value"]


def keep(state: Path, name: str, host: str, user: str, password: str) -> Path:
    """Keep the credentials of an HTTP server, which orders name; return the file.

    Args:
        host: ``S3``: ``user`` is an access key ID of S3, and ``password`` its secret key.

    Raises:
        PantheonError: something is not valid.
    """
    if not NAME.fullmatch(name):
        raise PantheonError(f"{name!r} is not a name for credentials.", "Use letters, digits, and . _ -")
    host = host.lower()
    if not HOST.fullmatch(host):
        cure = "For example: git.example.com, or git.example.com:8443; s3 for keys of S3."
        raise PantheonError(f"{host!r} is not a host.", cure)
    for what, value in (("user", user), ("password", password)):
        if not value or not value.isprintable():
            raise PantheonError(f"the {what} is empty or has other characters than text.", "Give it again.")
    text = secrets.aws_file(user, password) if host == S3 else f"host={host}\nusername={user}\npassword={password}\n"
    path = state / "secrets" / "orders" / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.atomic(path, mode=0o600) as part:
        part.write_text(text, encoding="utf-8")
        files.hand_to_owner(part)
    return path
