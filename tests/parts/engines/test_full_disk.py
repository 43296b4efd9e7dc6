"""The local engine on a full disk: nothing ends, commands say what is wrong, and all recovers when there is space."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.deployment import disks
from pantheon.engines.logs import MAX_BYTES
from pantheon.errors import PantheonError
from pantheon.processes import find
from tests.support.disks import fill, small_disk
from tests.support.engines import Deployment, making
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "24m") as folder:
        yield folder


@pytest.fixture
def full(disk: Path) -> Iterator[Deployment]:
    """A deployment on a small disk: a service with a probe that is a command, and one that writes to its log."""
    with making(disk) as make:
        deployment = make("full")
        health = {"test": "echo ok", "interval": "100ms", "retries": 2}
        deployment.up(
            web={"actor": ["sleep"], "healthcheck": health, "restart": "always"},
            talks={"command": ["sh", "-c", "while :; do echo talk; sleep 0.02; done"], "restart": "always"},
        )
        try:
            yield deployment
        finally:
            (disk / "filler").unlink(missing_ok=True)


def recorded(deployment: Deployment) -> dict[str, int]:
    """The pids in services.json."""
    return {each["name"]: each["pid"] for each in json.loads(deployment.local().home.services.read_text())["services"]}


def test_a_full_disk_ends_nothing_and_all_recovers_when_there_is_space(full: Deployment, disk: Path) -> None:
    home = full.local().home
    supervisor, before = home.supervisor(), recorded(full)
    filler = fill(disk)
    (warning,) = disks.warnings(full.state)
    assert warning == (
        f"The disk of {full.state} is full: 0.0 MB are left. "
        "Free some space there; the services run on, and what could not be written is written then."
    )
    old = full.kill("talks")
    until(lambda: find(old) is None)
    until(lambda: any("sh\0-c\0while" in _command(pid) for pid in _children(supervisor)), what="talks is restarted")
    until(lambda: full.status()["web"].state == "healthy")
    assert home.supervisor() == supervisor
    assert json.loads(home.services.read_text())["services"], "not truncated by a failed write"
    assert recorded(full) == before, "it could not be written"
    assert full.status()["talks"].state == "restarting"
    filler.unlink()
    until(lambda: recorded(full)["talks"] not in (0, old))
    assert recorded(full)["web"] == before["web"], "command probes need no disk"
    until(lambda: full.status()["talks"].state == "running")
    assert disks.warnings(full.state) == []


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_commands_on_a_full_disk_work_or_say_so_in_one_sentence(full: Deployment, disk: Path) -> None:
    fill(disk)
    engine = full.engine()
    assert {status.name for status in engine.status()} == {"web", "talks"}
    assert any("talk" in line for line in engine.logs(tail=3))
    said: list[str] = []
    assert engine.run_task("web", ["echo", "a task runs"], on_output=said.append) == 0
    assert said == ["a task runs"]
    with pytest.raises(PantheonError, match=r"^the disk is full: .*desired\.json cannot be written\. Free some space"):
        engine.up()
    assert {status.state for status in engine.status()} == {"healthy", "running"}, "they run on"
    engine.down()
    assert full.left() == []
    assert {status.state for status in engine.status()} == {"stopped"}
    assert not any(status.why for status in engine.status())
    with pytest.raises(PantheonError, match="the disk is full"):
        engine.up()
    (disk / "filler").unlink()
    engine.up()
    assert {status.state for status in engine.status()} == {"healthy", "running"}


def test_a_killed_supervisor_comes_back_on_a_full_disk(full: Deployment, disk: Path) -> None:
    home = full.local().home
    before = home.supervisor()
    filler = fill(disk)
    full.kill_supervisor()
    until(lambda: home.supervisor() not in (0, before))
    until(lambda: len(_children(home.supervisor())) >= 2)
    filler.unlink()
    until(lambda: {status.state for status in full.status().values()} == {"healthy", "running"})


def test_a_log_that_fills_the_disk_is_shortened(disk: Path) -> None:
    with making(disk) as make:
        deployment = make("floods")
        writes = f"head -c {3 * MAX_BYTES} /dev/zero | tr '\\\\0' 'x' || true; echo; echo the last line; sleep 3600"
        deployment.up(web={"command": ["sh", "-c", writes]})
        log = deployment.local().home.log("web")
        until(lambda: (deployment.state / "logs" / "web.log.1").exists() and log.stat().st_size <= MAX_BYTES)
        assert (deployment.state / "logs" / "web.log.1").stat().st_size <= MAX_BYTES
        assert deployment.status()["web"].state == "running"
