"""``down`` stops services in order and leaves no process, and so do interrupts and kills.

The ``deployments`` fixture checks after every test that no process of the deployment is running.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pantheon.engines import record
from pantheon.files import write_json
from pantheon.processes import boot, find
from tests.support import ROOT
from tests.support.engines import FIXTURE, Deployment
from tests.support.waiting import until

ACTOR = [sys.executable, "-S", str(FIXTURE / "actor.py")]


def pids(file: Path) -> list[int]:
    """The pids that the actor ``family`` noted."""
    until(file.exists)
    return [int(word) for word in file.read_text().split()]


def alive(file: Path) -> int:
    return sum(find(pid) is not None for pid in pids(file))


def test_down_ends_grandchildren_sessions_and_daemons_even_with_a_cleared_environment(
    deployment: Deployment, tmp_path: Path
) -> None:
    engine = deployment.up(web={"actor": ["family", tmp_path / "pids"]})
    assert alive(tmp_path / "pids") == 4
    engine.down()
    assert alive(tmp_path / "pids") == 0


def test_a_killed_service_leaves_no_process_before_it_restarts(deployment: Deployment, tmp_path: Path) -> None:
    deployment.up(web={"actor": ["family", tmp_path / "pids"], "restart": "always"}, other={"actor": ["sleep"]})
    before = pids(tmp_path / "pids")
    (tmp_path / "pids").rename(tmp_path / "before")
    other = deployment.pid("other")
    deployment.kill("web")
    after = pids(tmp_path / "pids")
    assert not set(before) & set(after)
    assert (alive(tmp_path / "before"), alive(tmp_path / "pids")) == (0, 4)
    assert deployment.pid("other") == other


@pytest.mark.parametrize(("verb", "service_too"), [("up", False), ("down", True)])
def test_the_next_command_ends_processes_of_a_killed_supervisor(
    deployment: Deployment, tmp_path: Path, verb: str, service_too: bool
) -> None:
    engine = deployment.up(
        web={"actor": ["family", tmp_path / "pids"]},
        deaf={"actor": ["stubborn", tmp_path / "deaf"], "stop_grace_period": "300ms"},
    )
    pids(tmp_path / "pids")
    until(lambda: set(pids(tmp_path / "pids")) <= seen(deployment))
    if service_too:
        deployment.kill("web")
    deployment.kill_supervisor()
    (tmp_path / "pids").rename(tmp_path / "before")
    getattr(engine, verb)()
    assert alive(tmp_path / "before") == 0


def seen(deployment: Deployment) -> set[int]:
    """The pids that the supervisor has noted for the case that it is killed."""
    noted = record.read_derived(deployment.local().home.processes, {"processes": []}) or {"processes": []}
    return {pid for pid, _ in noted["processes"]}


@pytest.mark.parametrize(("same_boot", "later"), [(False, 0), (True, 1)])
def test_another_process_with_a_reused_pid_is_not_killed(deployment: Deployment, same_boot: bool, later: int) -> None:
    engine = deployment.write(web={"actor": ["sleep"]})
    home = deployment.local().home
    home.make()
    with subprocess.Popen([*ACTOR, "sleep"]) as stranger:
        process = find(stranger.pid)
        assert process
        write_json(
            home.processes,
            {"boot": boot() if same_boot else "another", "processes": [[process.pid, process.start + later]]},
        )
        engine.up()
        engine.down()
        assert stranger.poll() is None
        stranger.kill()


def test_a_service_that_ignores_its_stop_signal_is_killed_after_its_grace_period(
    deployment: Deployment, tmp_path: Path
) -> None:
    engine = deployment.up(web={"actor": ["stubborn", tmp_path / "ready"], "stop_grace_period": "300ms"})
    until((tmp_path / "ready").exists)
    begin = time.monotonic()
    engine.down()
    assert 0.3 <= time.monotonic() - begin < 8, "10 s without the setting"


def test_a_stopped_process_is_killed_too(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "stop_grace_period": "100ms"})
    os.kill(deployment.pid("web"), signal.SIGSTOP)
    engine.down()


def test_services_stop_before_their_dependencies_with_their_own_stop_signal(
    deployment: Deployment, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    engine = deployment.up(
        database={"actor": ["polite", notes, "database"], "stop_signal": "SIGINT"},
        api={"actor": ["polite", notes, "api"], "depends_on": ["database"], "stop_signal": "USR1"},
        web={"actor": ["polite", notes, "web"], "depends_on": ["api", "database"]},
    )
    for name in ("database", "api", "web"):
        until((tmp_path / f"notes.{name}").exists)
    engine.down()
    assert notes.read_text().splitlines() == ["web SIGTERM", "api SIGUSR1", "database SIGINT"]


def test_down_does_nothing_if_nothing_is_up(deployment: Deployment) -> None:
    deployment.engine().down()
    assert not (deployment.state / "local").exists()


def test_down_ends_a_waiting_up(deployment: Deployment) -> None:
    deployment.write(web={"actor": ["sleep"], "healthcheck": {"test": ["CMD", "false"], "start_period": "60s"}})
    process = command(deployment, "up")
    until(lambda: "web" in deployment.status() and deployment.pid("web"))
    deployment.engine().down()
    assert process.wait(60) == 1
    assert b"while `up` was waiting" in process.communicate()[1]


def script(deployment: Deployment, call: str) -> list[str]:
    """A command line that calls ``engine.CALL()``, or runs the statement ``call``."""
    text = (
        "import sys; from pathlib import Path; from pantheon.engines import Options\n"
        "from pantheon.engines.local.engine import LocalEngine\n"
        "from pantheon.errors import PantheonError\n"
        f"options = Options({deployment.name!r}, Path({str(deployment.state)!r}), Path({str(deployment.file)!r}),"
        f" Path({str(ROOT)!r}), {deployment.offset})\n"
        "engine = LocalEngine(options, lambda _: Path(sys.prefix))\n"
        f"try: {f'engine.{call}()' if call.isidentifier() else call}\n"
        "except PantheonError as error: print(error, file=sys.stderr); sys.exit(error.status)\n"
    )
    return [sys.executable, "-c", text]


def command(deployment: Deployment, call: str) -> "subprocess.Popen[bytes]":
    """That command line in a process of its own, ready to be interrupted or killed."""
    return subprocess.Popen(script(deployment, call), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_after_ctrl_c_during_up_the_services_continue_to_start_and_it_says_so(
    deployment: Deployment, tmp_path: Path
) -> None:
    health = {"test": ["CMD", "test", "-e", str(tmp_path / "flag")], "start_period": "60s"}
    deployment.write(web={"actor": ["sleep"], "healthcheck": health})
    process = command(deployment, "up")
    until(lambda: "web" in deployment.status() and deployment.pid("web"))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert b"continue to start in the background" in process.communicate()[1]
    pid = deployment.pid("web")
    (tmp_path / "flag").touch()
    deployment.engine().up()
    assert deployment.pid("web") == pid


TASK = "engine.run_task('web', {command!r}, on_output=lambda line: print(line, flush=True))"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_task_ends_when_its_caller_ends_for_any_reason(deployment: Deployment, tmp_path: Path, number: int) -> None:
    deployment.write(web={"actor": ["sleep"], "stop_grace_period": "1s"})
    process = command(deployment, TASK.format(command=[*ACTOR, "family", str(tmp_path / "pids")]))
    assert len(pids(tmp_path / "pids")) == 4
    process.send_signal(number)
    process.communicate(timeout=60)
    until(lambda: alive(tmp_path / "pids") == 0)


def test_a_task_whose_launcher_is_killed_leaves_no_process(deployment: Deployment, tmp_path: Path) -> None:
    deployment.write(web={"actor": ["sleep"]})
    process = command(deployment, "sys.exit(" + TASK.format(command=[*ACTOR, "family", str(tmp_path / "pids")]) + ")")
    grandchild = find(pids(tmp_path / "pids")[0])
    assert grandchild
    main = find(grandchild.parent)
    assert main
    os.kill(main.parent, signal.SIGKILL)
    assert process.wait(60) == 128 + signal.SIGKILL
    # a daemon that cleared its environment cannot be identified after its reaper is dead
    until(lambda: alive(tmp_path / "pids") == 1)
    os.kill(pids(tmp_path / "pids")[3], signal.SIGKILL)
    until(lambda: alive(tmp_path / "pids") == 0)


def test_ctrl_c_reaches_the_task_so_that_it_can_clean_up(deployment: Deployment, tmp_path: Path) -> None:
    deployment.write(web={"actor": ["sleep"]})
    process = command(deployment, TASK.format(command=[*ACTOR, "polite", str(tmp_path / "notes"), "task"]))
    until((tmp_path / "notes.task").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (tmp_path / "notes").read_text() == "task SIGINT\n"


def test_daemons_that_a_task_starts_are_ended(deployment: Deployment, tmp_path: Path) -> None:
    engine = deployment.write(web={"actor": ["sleep"]})
    assert engine.run_task("web", [*ACTOR, "daemon", str(tmp_path / "daemon")]) == 0
    assert find(int((tmp_path / "daemon").read_text())) is None


def test_down_ends_a_running_task(deployment: Deployment, tmp_path: Path) -> None:
    engine = deployment.up(web={"actor": ["sleep"]})
    process = command(
        deployment, "sys.exit(" + TASK.format(command=[*ACTOR, "stubborn", str(tmp_path / "ready")]) + ")"
    )
    until((tmp_path / "ready").exists)
    engine.down()
    assert process.wait(60) > 128


def test_a_task_returns_the_exit_status_of_its_command(deployment: Deployment) -> None:
    engine = deployment.write(web={"actor": ["sleep"]})
    lines: list[str] = []
    assert engine.run_task("web", ["sh", "-c", "echo one; echo two; printf three; exit 5"], on_output=lines.append) == 5
    assert lines == ["one", "two", "three"]
    assert engine.run_task("web", ["sh", "-c", "kill -KILL $$"]) == 128 + signal.SIGKILL
    assert engine.run_task("web", ["no-such-program"], on_output=lines.append) == 127
    assert lines[3:] == ["cannot be started: No such file or directory: no-such-program"]
