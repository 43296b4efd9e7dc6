"""The next `up` finishes an upgrade whose command was killed (-9); services of both tiers keep running."""

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pantheon.processes import find
from tests.parts.engines.test_nothing_left import command
from tests.support.engines import FIXTURE, Deployment
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
POINTS = 8


def grow(deployment: Deployment, notes: Path) -> tuple[Path, Path]:
    """A small tier and the one after it, which has the fixture's database, migration and web service too."""
    actor = [sys.executable, "-S", str(FIXTURE / "actor.py")]
    page = {"image": "pantheon/dev", "command": [*actor, "sleep"], "restart": "unless-stopped"}
    last = {
        "image": "pantheon/dev",
        "command": [*actor, "once", str(notes)],
        "depends_on": {"web": {"condition": "service_healthy"}},
    }
    small, big = deployment.folder / "small.yaml", deployment.folder / "big.yaml"
    small.write_text(yaml.safe_dump({"name": deployment.name, "services": {"page": page}}))
    model = {"name": deployment.name, "include": [str(FIXTURE / "compose.yaml")]}
    big.write_text(yaml.safe_dump(model | {"services": {"page": page, "last": last}}))
    return small, big


def finished(deployment: Deployment) -> None:
    """Check that all services of the larger tier run exactly once and the migrated rows can be read."""
    until(lambda: deployment.status()["last"].state == "completed", 60)  # no service waits for it, so `up` did not wait
    services = deployment.status()
    states = {name: status.state for name, status in services.items()}
    assert states == {
        "page": "running", "postgres": "healthy", "migrate": "completed", "web": "healthy", "last": "completed",
    }  # fmt: skip
    page = urllib.request.urlopen(f"{services['web'].address}/healthz", timeout=10)
    assert page.read() == b"good bad"
    mains = [line for line in deployment.left() if "web.py" in line or "actor.py sleep" in line]
    assert len(mains) == 2, mains


def test_the_next_up_finishes_an_upgrade_that_was_killed(deployments: Callable[[str], Deployment]) -> None:
    pace = 0.0
    for point in range(POINTS):
        with_supervisor = point % 2 == 0  # every second time, the supervisor is also killed
        deployment = deployments(f"killed-{point}")
        notes = deployment.folder / f"notes-{point}"
        small, big = grow(deployment, notes)
        deployment.file = small
        deployment.engine().up()
        page = deployment.pid("page")
        deployment.file = big
        begin = time.monotonic()
        upgrade = command(deployment, "up")
        if point == 0:  # without a kill: measures how long an upgrade takes
            assert upgrade.wait(120) == 0, upgrade.communicate()
            pace = time.monotonic() - begin
        else:
            time.sleep(pace * (point - 0.5) / (POINTS - 1))  # the test needs a kill at this point in time
            upgrade.kill()
            if with_supervisor and deployment.local().home.supervisor():
                deployment.kill_supervisor()
        upgrade.communicate()
        deployment.engine().up(deployment.events.append)
        finished(deployment)
        if not with_supervisor or point == 0:
            assert deployment.pid("page") == page
        else:
            assert not find(page) or deployment.pid("page") == page
        assert set(notes.read_text().split()) == {"ran"}
        deployment.engine().down()
        until(lambda deployment=deployment: not deployment.left())


def test_incomplete_files_do_not_break_up(deployment: Deployment) -> None:
    """What a kill between two writes leaves in the engine's folder."""
    small, big = grow(deployment, deployment.folder / "notes")
    deployment.file = small
    deployment.engine().up()
    local = deployment.state / "local"
    (local / f".desired.json.{os.getpid()}.part").write_text('{"generation": 3, "ba')
    (deployment.state / "state" / ".services.json.1.part").write_text("{")
    wanted = json.loads((local / "desired.json").read_text())
    assert wanted["generation"] == 1
    os.kill(deployment.local().home.supervisor(), signal.SIGKILL)
    deployment.file = big
    deployment.engine().up()
    finished(deployment)
