"""The local engine's files damaged in every way, while services run and while they do not: no command fails on one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon import files
from pantheon.processes import find
from tests.support.engines import Deployment
from tests.support.waiting import until

pytestmark = pytest.mark.slow

FILES = (
    "state/services.json",
    "local/desired.json",
    "local/processes.json",
    "local/supervisor.lock",
    "local/heartbeat",
)
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: b"\0" * len(content),
    "not UTF-8": lambda content: b'{"services": "\xff"}',
    "not an object": lambda content: b"[1]",
    "wrong type": lambda content: b'{"services": 4, "processes": 4, "generation": "x", "boot": [], "base": 1}',
    "wrong entries": lambda content: (
        b'{"services": [{"name": 1}, 7], "processes": [1, {}], "generation": 1, "base": {"A": 1}}'
    ),
    "nested for ever": lambda content: b"[" * 200_000,
    "a folder": lambda content: None,
}


def damage(path: Path, how: str) -> None:
    """Damage a file; the lock is not a folder, since the engine only ever overwrites it."""
    content = DAMAGE[how](path.read_bytes() if path.is_file() else b"")
    if content is not None:
        path.write_bytes(content)
    elif path.suffix != ".lock":
        files.remove(path)
        path.mkdir()


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_of_running_services_are_rebuilt(deployment: Deployment, how: str) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always"})
    home = deployment.local().home
    supervisor = home.supervisor()
    for file in FILES:
        before = deployment.pid("web")
        damage(deployment.state / file, how)
        assert [status.state for status in engine.status()] == ["running"]
        assert engine.warnings() == []
        assert list(engine.logs()) == []
        deployment.engine().up()
        assert home.supervisor() == supervisor, "it survives"
        assert deployment.status()["web"].state == "running"
        assert deployment.pid("web") == before, "the service ran on"
    for file in FILES:
        damage(deployment.state / file, how)
    deployment.engine().down()
    assert deployment.left() == []
    assert find(supervisor) is None


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_of_stopped_services_are_rebuilt(deployment: Deployment, how: str) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    engine.down()
    for file in FILES:
        damage(deployment.state / file, how)
    engine.status()
    engine.down()
    engine.up()
    assert deployment.status()["web"].state == "running"


@pytest.mark.parametrize("how", ["truncated", "wrong entries", "a folder"])
def test_a_supervisor_that_cannot_read_what_to_run_ends_and_up_starts_it(deployment: Deployment, how: str) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    damage(deployment.local().home.desired, how)
    deployment.kill_supervisor()
    until(lambda: "missing or damaged: `up` writes it" in deployment.local().home.log("supervisor").read_text())
    until(lambda: deployment.left() == [])
    assert deployment.status()["web"].state == "stopped"
    engine.up()
    assert deployment.status()["web"].state == "running"
