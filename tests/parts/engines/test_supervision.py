"""The local engine with services that misbehave or are killed: real processes, including kill -9."""

import re
import time
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from tests.support.engines import Deployment
from tests.support.waiting import until


def failure(deployment: Deployment) -> PantheonError:
    """The error that ``up`` ends with."""
    with pytest.raises(PantheonError) as caught:
        deployment.engine().up(deployment.events.append)
    return caught.value


def test_a_killed_service_is_restarted_with_a_pause_that_doubles(deployment: Deployment) -> None:
    engine = deployment.up(web={"actor": ["sleep"], "restart": "always"})
    for count in (1, 2):
        deployment.kill("web")
        until(lambda: deployment.status()["web"].state == "restarting")
        assert "was killed by SIGKILL" in deployment.status()["web"].why
        until(lambda count=count: deployment.status()["web"].restarts == count)
    deployment.kill("web")
    until(lambda: deployment.status()["web"].state == "restarting")
    assert re.fullmatch(r"was killed by SIGKILL, third time; next try in 0\.[0-9] s", deployment.status()["web"].why)
    engine.up()
    assert deployment.status()["web"].state == "running"


@pytest.mark.parametrize(
    ("policy", "code", "state"), [("no", 1, "failed"), ("no", 0, "completed"), ("on-failure", 0, "completed")]
)
def test_the_restart_policy_decides_whether_an_ended_service_is_restarted(
    deployment: Deployment, policy: str, code: int, state: str
) -> None:
    deployment.up(web={"actor": ["crash", code, 0.3], "restart": policy})
    until(lambda: deployment.status()["web"].state == state)
    assert deployment.status()["web"].restarts == 0


def test_up_fails_in_a_crash_loop_with_the_last_lines_of_the_log(deployment: Deployment) -> None:
    health = {"test": ["CMD", "false"], "start_period": "60s"}
    deployment.write(web={"actor": ["crash"], "restart": "always", "healthcheck": health}, other={"actor": ["sleep"]})
    error = failure(deployment)
    assert "web keeps crashing: exited with 3, third time" in error.cause
    assert error.cause.count("web | about to fail: the disk of the moon is missing") == 1
    assert "`up`" in error.cure and "`logs`" in error.cure
    assert deployment.status()["other"].state == "running"


def test_up_fails_with_the_probes_result_if_a_service_never_becomes_healthy(deployment: Deployment) -> None:
    health = {"test": "echo no moon today; exit 9", "interval": "200ms", "retries": 2, "start_interval": "50ms"}
    deployment.write(web={"actor": ["sleep"], "healthcheck": health})
    error = failure(deployment)
    assert error.cause.startswith("web failed: unhealthy, 2 probes failed; the last one: exited with 9: no moon today.")
    assert deployment.pid("web") > 0, "as under Compose it is not restarted"


def test_a_hanging_probe_counts_as_failed(deployment: Deployment) -> None:
    health = {"test": ["CMD", "sleep", "3600"], "interval": "100ms", "timeout": "200ms", "retries": 2}
    deployment.write(web={"actor": ["sleep"], "healthcheck": health})
    assert "the last one: no answer within 0.2 s" in failure(deployment).cause
    deployment.engine().down()


def test_failures_within_the_start_period_do_not_count(deployment: Deployment, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    health = {"test": ["CMD", "test", "-e", str(flag)], "interval": "50ms", "retries": 1, "start_period": "600ms"}
    slow = f"sleep 0.4; touch {flag}; sleep 3600"
    deployment.up(web={"command": ["sh", "-c", slow], "healthcheck": health})
    assert deployment.status()["web"].state == "healthy"


def test_a_service_becomes_unhealthy_and_healthy_again_without_a_restart(
    deployment: Deployment, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    health = {"test": ["CMD", "test", "-e", str(flag)], "interval": "700ms", "retries": 2}
    deployment.up(web={"actor": ["sleep"], "healthcheck": health, "restart": "always"})
    pid = deployment.pid("web")
    flag.unlink()
    until(lambda: deployment.status()["web"].state == "failed")
    flag.touch()
    until(lambda: deployment.status()["web"].state == "healthy")
    assert deployment.pid("web") == pid


def test_a_hanging_service_is_restarted_and_its_status_says_so(deployment: Deployment, tmp_path: Path) -> None:
    hangs, answers = tmp_path / "hangs", f"test ! -e {tmp_path}/hangs"
    health = {"test": answers, "interval": "50ms", "retries": 2}
    # like a hung server, it ignores its stop signal; after a restart, it answers
    command = f"rm -f {hangs}; trap '' TERM; while :; do sleep 0.1; done"
    web = {"command": ["sh", "-c", command], "healthcheck": health, "restart": "always", "stop_grace_period": "1s"}
    deployment.up(web=web, other={"actor": ["sleep"]})
    before = deployment.pid("web"), deployment.pid("other")
    hangs.touch()
    until(lambda: deployment.status()["web"].state == "restarting")
    assert "was unhealthy, 4 probes failed; the last one: exited with 1" in deployment.status()["web"].why
    until(lambda: deployment.status()["web"].state == "healthy")
    now = deployment.status()["web"]
    assert now.restarts == 1
    assert now.why.startswith("restarted once, the last time after it was unhealthy, 4 probes failed")
    assert now.pid != before[0]
    assert deployment.pid("other") == before[1]


def test_up_restarts_a_hanging_service_immediately(deployment: Deployment, tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"
    health = {"test": f"test ! -e {hangs}", "interval": "2s", "retries": 1}
    command = f"rm -f {hangs}; sleep 3600"
    engine = deployment.up(web={"command": ["sh", "-c", command], "healthcheck": health, "restart": "always"})
    before = deployment.pid("web")
    hangs.touch()
    until(lambda: deployment.status()["web"].state == "failed")
    engine.up()
    assert deployment.status()["web"].state == "healthy"
    assert deployment.pid("web") != before


def test_a_hanging_service_without_a_restart_policy_is_not_restarted(deployment: Deployment, tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"
    health = {"test": f"test ! -e {hangs}", "interval": "20ms", "retries": 1}
    deployment.up(web={"actor": ["sleep"], "healthcheck": health})
    before = deployment.pid("web")
    hangs.touch()
    until(lambda: re.search(r"unhealthy, ([5-9]|\d\d+) probes failed", deployment.status()["web"].why))
    assert (deployment.pid("web"), deployment.status()["web"].state) == (before, "failed")


@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
def test_a_url_is_probed_without_a_process(deployment: Deployment, port: int, status: str) -> None:
    local = {"health_url": f"http://127.0.0.1:{port}/healthz"}
    deployment.up(web={"actor": ["serve", port, status], "healthcheck": {"test": ["CMD", "false"]}, "x-local": local})
    assert deployment.status()["web"].state == "healthy"


def test_an_http_error_means_unhealthy(deployment: Deployment, port: int) -> None:
    health = {"test": ["CMD", "true"], "interval": "4s", "retries": 1}  # time enough to listen, even on a busy machine
    local = {"health_url": f"http://127.0.0.1:{port}/healthz"}
    deployment.write(web={"actor": ["serve", port, "503 Sorry"], "healthcheck": health, "x-local": local})
    assert "the last one: answered HTTP/1.1 503 Sorry" in failure(deployment).cause


def test_up_fails_with_a_failing_one_off_and_dependents_do_not_start(deployment: Deployment) -> None:
    needs = {"migrate": {"condition": "service_completed_successfully"}}
    deployment.write(migrate={"actor": ["crash", 4]}, web={"actor": ["sleep"], "depends_on": needs})
    error = failure(deployment)
    assert "migrate failed: exited with 4." in error.cause
    assert "migrate | about to fail" in error.cause
    assert deployment.status()["web"].state == "waiting"
    assert "waits for migrate to complete" in deployment.status()["web"].why


def test_a_one_off_runs_once_until_down_or_until_it_failed(deployment: Deployment, tmp_path: Path) -> None:
    needs = {"migrate": {"condition": "service_completed_successfully"}}
    engine = deployment.up(
        migrate={"actor": ["once", tmp_path / "runs"]}, web={"actor": ["sleep"], "depends_on": needs}
    )
    engine.up()
    assert (tmp_path / "runs").read_text() == "ran\n"
    engine.down()
    engine.up()
    assert (tmp_path / "runs").read_text() == "ran\nran\n"


def test_a_failed_one_off_runs_again_at_the_next_up(deployment: Deployment, tmp_path: Path) -> None:
    needs = {"migrate": {"condition": "service_completed_successfully"}}
    command = ["test", "-e", str(tmp_path / "flag")]
    deployment.write(migrate={"command": command}, web={"actor": ["sleep"], "depends_on": needs})
    assert "migrate failed" in failure(deployment).cause
    (tmp_path / "flag").touch()
    deployment.engine().up()
    assert deployment.status()["migrate"].state == "completed"


def test_a_missing_program_is_reported(deployment: Deployment) -> None:
    deployment.write(web={"command": ["no-such-program"]})
    assert "web failed: could not be started: No such file or directory: no-such-program." in failure(deployment).cause


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_status_and_up_know_their_services_if_the_record_is_lost(
    deployment: Deployment, port: int, content: bytes | None
) -> None:
    web = {"actor": ["serve", port, "200 OK"], "expose": [str(port)]}
    engine = deployment.up(web={**web, "healthcheck": {"test": ["CMD", "true"]}})
    before = deployment.pid("web")
    record = deployment.state / "state" / "services.json"
    record.unlink() if content is None else record.write_bytes(content)
    assert deployment.status()["web"].state == "healthy"
    record.unlink()
    engine.up()
    assert deployment.pid("web") == before


def test_up_ends_if_the_supervisor_is_killed_while_it_waits(deployment: Deployment) -> None:
    health = {"test": ["CMD", "false"], "start_period": "60s"}
    engine = deployment.write(web={"actor": ["sleep"], "healthcheck": health})

    def kill(event: object) -> None:
        deployment.kill_supervisor()

    with pytest.raises(PantheonError, match="The supervisor ended while `up` was waiting"):
        engine.up(kill)


def test_a_supervisor_stops_everything_if_its_folder_is_deleted(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.up(web={"actor": ["sleep"]})
    (deployment.state / "local" / "supervisor.lock").unlink()
    until(lambda: not deployment.left())


def test_the_supervisor_is_small_and_idle(deployment: Deployment) -> None:
    from pantheon.processes import memory

    deployment.up(web={"actor": ["sleep"]})
    supervisor = deployment.local().home.supervisor()
    assert memory([supervisor]) < 25_000_000
    used = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[11:13]
    time.sleep(0.5)
    later = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[11:13]
    assert sum(map(int, later)) - sum(map(int, used)) <= 3, "clock ticks in half a second"


def test_until_the_first_success_a_url_is_probed_more_often_than_a_container(deployment: Deployment, port: int) -> None:
    local = {"health_url": f"http://127.0.0.1:{port}/"}
    health = {"test": ["CMD", "false"], "start_interval": "60s", "start_period": "90s"}
    late = f"sleep 1; exec python -m http.server -b 127.0.0.1 {port}"
    begin = time.monotonic()
    deployment.up(web={"command": ["sh", "-c", late], "healthcheck": health, "x-local": local})
    assert time.monotonic() - begin < 40
