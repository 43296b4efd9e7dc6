"""A supervisor that is killed, stopped or hangs; its services, and what the next command does."""

import json
import os
import shutil
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pantheon.engines.local import keeper
from pantheon.engines.local.engine import LocalEngine
from pantheon.processes import Process, find, read, tagged
from tests.support import ROOT
from tests.support.engines import Deployment
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: (found := read(pid)) and found.state == "T")


def guard(deployment: Deployment) -> int:
    process = find(deployment.local().home.supervisor())
    assert process
    return process.parent


def test_a_killed_supervisor_comes_back_with_all_services_and_ends_no_task(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"]}, other={"actor": ["sleep"], "depends_on": ["web"]})
    before = {name: status.pid for name, status in deployment.status().items()}
    ended: list[int] = []
    task = threading.Thread(target=lambda: ended.append(engine.run_task("web", ["sh", "-c", "sleep 2; exit 7"])))
    task.start()
    until(lambda: any(b"sleep\0002" in Path(f"/proc/{p.pid}/cmdline").read_bytes() for p in _mine(deployment)))
    for _ in range(2):
        deployment.kill_supervisor()
        until(lambda: {status.state for status in deployment.status().values()} == {"running"})
    assert not before.items() & {name: status.pid for name, status in deployment.status().items()}.items()
    assert not any(find(pid) for pid in before.values()), "those of the killed supervisor ended with it"
    task.join()
    assert ended == [7]
    engine.down()
    assert deployment.left() == []


def _mine(deployment: Deployment) -> list[Process]:
    return tagged(deployment.local().home.id)


def test_down_right_after_the_kill_leaves_nothing_that_comes_back(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    deployment.kill_supervisor()
    engine.down()
    assert deployment.left() == []
    assert deployment.status()["web"].state == "stopped"
    assert deployment.status()["web"].why == ""


def test_without_its_guard_a_killed_supervisor_is_noticed_and_replaced_by_up(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    before = deployment.pid("web")
    os.kill(guard(deployment), signal.SIGKILL)
    deployment.kill_supervisor()
    assert deployment.status()["web"].state == "stopped"
    assert deployment.status()["web"].why == "the supervisor was killed; `up` starts it again"
    engine.up()
    assert deployment.pid("web") not in (0, before)
    deployment.kill_supervisor()
    until(lambda: deployment.status()["web"].state == "running")


def test_a_stopped_supervisor_is_noticed_and_continued_by_up_without_touching_the_services(
    deployment: Deployment,
) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always"})
    supervisor, before = deployment.local().home.supervisor(), deployment.pid("web")
    assert engine.warnings() == []
    stop(supervisor)
    assert engine.warnings() == [
        f"The supervisor (process {supervisor}) is stopped by a signal such as SIGSTOP, so no service is restarted. "
        "Run `up`: it mends that."
    ]
    assert deployment.status()["web"].state == "running"
    deployment.events.clear()
    engine.up(deployment.events.append)
    (event,) = [event for event in deployment.events if event.service == "supervisor"]
    assert event.why == "is stopped by a signal such as SIGSTOP: continued; the services kept running"
    assert (deployment.local().home.supervisor(), deployment.pid("web")) == (supervisor, before)
    assert engine.warnings() == []
    deployment.kill("web")
    until(lambda: deployment.pid("web") not in (0, before))


def test_a_stopped_supervisor_does_not_hold_up_down(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    stop(deployment.local().home.supervisor())
    engine.down()
    assert deployment.left() == []


def test_a_supervisor_that_hangs_is_noticed_and_replaced_by_up(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always"}, other={"actor": ["sleep"]})
    home = deployment.local().home
    before = home.supervisor()
    home.log("web").unlink()
    os.mkfifo(home.log("web"))  # the restart of the service waits for a reader
    deployment.kill("web")
    until(lambda: _waits_in_open(before))
    os.utime(home.heartbeat, (1, 1))  # instead of waiting until it is old
    assert "does not answer, so no service is restarted" in engine.warnings()[0]
    deployment.events.clear()
    deployment.up(other={"actor": ["sleep"]})
    (event,) = [event for event in deployment.events if event.service == "supervisor"]
    assert event.why == "does not answer: replaced, with its services"
    assert home.supervisor() not in (0, before)
    assert {status.state for status in deployment.status().values()} == {"running"}


def older_release(folder: Path) -> Path:
    """The code of a release whose supervisor writes no format number into its record."""
    shutil.copytree(ROOT / "pantheon", folder / "pantheon", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "pantheon" / "engines" / "record.py"
    code = file.read_text()
    line = '        "format": FORMAT,\n'
    assert line in code
    file.write_text(code.replace(line, ""))
    return folder


def test_up_replaces_a_supervisor_of_another_release_and_ends_no_task(deployment: Deployment, tmp_path: Path) -> None:
    """The first ones end when they read today's desired.json."""
    web = {"actor": ["sleep"], "restart": "always"}
    deployment.write(web=web, other={"actor": ["sleep"]})
    options = replace(deployment.options(), root=older_release(tmp_path / "older"))
    LocalEngine(options, lambda _: Path(sys.prefix)).up()
    home, engine = deployment.local().home, deployment.engine()
    before, pid = home.supervisor(), deployment.pid("web")
    assert "format" not in json.loads(home.services.read_text())
    ended: list[int] = []
    task = threading.Thread(target=lambda: ended.append(engine.run_task("web", ["sh", "-c", "sleep 2; exit 7"])))
    task.start()
    until(lambda: any(b"sleep\0002" in Path(f"/proc/{p.pid}/cmdline").read_bytes() for p in _mine(deployment)))
    deployment.up(web=web, new={"actor": ["sleep"]})
    (event,) = [event for event in deployment.events if event.service == "supervisor"]
    assert event.why == "is of another release of Pantheon: replaced; all services are restarted"
    assert home.supervisor() not in (0, before)
    assert deployment.pid("web") not in (0, pid)
    assert {name: status.state for name, status in deployment.status().items()} == {"web": "running", "new": "running"}
    task.join()
    assert ended == [7]
    now = home.supervisor()
    deployment.up(web=web, new={"actor": ["sleep"]})
    assert home.supervisor() == now


def _waits_in_open(pid: int) -> bool:
    return Path(f"/proc/{pid}/wchan").read_text() in ("wait_for_partner", "fifo_open")


def test_an_old_heartbeat_alone_is_no_trouble(deployment: Deployment) -> None:
    """As after a suspend of the machine or a change of its clock."""
    deployment.up(web={"actor": ["sleep"]})
    os.utime(deployment.local().home.heartbeat, (1, 1))
    assert keeper.trouble(deployment.local().home) == ""


@pytest.mark.parametrize("stop_signal", ["SIGTERM", "SIGUSR1"])
def test_a_stopped_service_is_restarted_with_its_stop_signal_first(
    deployment: Deployment, tmp_path: Path, stop_signal: str
) -> None:
    notes = tmp_path / "notes"
    health = {"test": f"test -e {notes}.web && ! grep -q T /proc/$$(cat {notes}.pid)/stat", "interval": "50ms"}
    web = {"actor": ["polite", notes, "web"], "stop_signal": stop_signal, "restart": "always", "healthcheck": health}
    deployment.up(web=web | {"healthcheck": health | {"retries": 2}})
    pid = deployment.pid("web")
    Path(f"{notes}.pid").write_text(str(pid))
    stop(pid)
    until(lambda: deployment.pid("web") not in (0, pid))
    assert notes.read_text() == f"web {stop_signal}\n"
    assert "was unhealthy, 4 probes failed" in deployment.status()["web"].why


def test_up_restarts_a_stopped_service_that_no_probe_has_noticed_yet(deployment: Deployment) -> None:
    health = {"test": ["CMD", "true"], "interval": "60s"}
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always", "healthcheck": health})
    pid = deployment.pid("web")
    stop(pid)
    engine.up()
    assert deployment.pid("web") not in (0, pid)
    assert "was stopped by a signal such as SIGSTOP" in deployment.status()["web"].why
