"""What `status` says of a service that is not up yet, in words for people."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines import docker_state

from .conftest import Deployment, until


@pytest.mark.slow
def test_a_local_service_that_starts_says_for_how_long_and_what_its_health_check_says(
    deployment: Deployment, port: int, tmp_path: Path
) -> None:
    local = {"health_url": f"http://127.0.0.1:{port}/"}
    health = {"test": ["CMD", "false"], "start_period": "60s"}
    wait_then_serve = (
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exec python -m http.server -b 127.0.0.1 {port}"
    )
    deployment.write(
        web={"command": ["sh", "-c", wait_then_serve.replace("$", "$$")], "healthcheck": health, "x-local": local},
        page={"actor": ["sleep"], "depends_on": {"web": {"condition": "service_healthy"}}},
    )
    with ThreadPoolExecutor() as pool:
        up = pool.submit(deployment.engine().up)
        until(lambda: "web" in deployment.status() and "refused" in deployment.status()["web"].why)
        said = deployment.status()
        assert said["web"].state == "starting"
        assert re.fullmatch(r"[0-9.]+ s so far; health check says: connection refused", said["web"].why)
        assert (said["page"].state, said["page"].why) == ("waiting", "waits for web to be healthy")
        (tmp_path / "go").touch()
        up.result()
    assert deployment.status()["web"].why == ""


@pytest.mark.slow
def test_a_service_that_was_restarted_says_why(deployment: Deployment) -> None:
    deployment.up(web={"actor": ["sleep"], "restart": "always"})
    deployment.kill("web")
    until(lambda: (now := deployment.status()["web"]).restarts == 1 and now.state == "running")
    assert deployment.status()["web"].why == "restarted once, the last time after it was killed by SIGKILL"


def container(**more: Any) -> dict[str, Any]:
    begun = (datetime.now(UTC) - timedelta(seconds=12.2)).isoformat().replace("+00:00", "Z")
    state = {"Status": "running", "StartedAt": begun, "FinishedAt": docker_state.NEVER, "ExitCode": 0}
    return {
        "Config": {"Labels": {docker_state.LABEL: "web"}},
        "Created": begun,
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        "RestartCount": more.pop("restarts", 0),
        "State": state | more,
    }


def test_a_container_that_starts_says_the_same() -> None:
    health = {"Status": "starting", "Log": [{"Output": "one\nconnection refused\n", "End": "x"}]}
    assert docker_state.state_of(container(Health=health))[:2] == (
        "starting",
        "12 s so far; health check says: connection refused",
    )
    assert docker_state.state_of(container(Health={"Status": "starting"}, restarts=1))[:2] == (
        "starting",
        "12 s so far; restarted once",
    )
    assert docker_state.state_of(container(Health={"Status": "healthy"}, restarts=2))[:2] == (
        "healthy",
        "restarted 2 times",
    )
    state, why, _ = docker_state.state_of(container(Status="restarting", ExitCode=137, restarts=3))
    assert state == "restarting"
    assert why == "was killed by SIGKILL; restarted 3 times; Docker tries again within a minute"


@pytest.mark.parametrize(
    ("condition", "state", "words"),
    [
        ("service_healthy", "starting", "waits for postgres to be healthy"),
        ("service_healthy", "healthy", ""),
        ("service_completed_successfully", "running", "waits for postgres to complete"),
        ("service_completed_successfully", "failed", "waits for postgres to complete, which failed: exited with 3"),
        ("service_completed_successfully", "completed", ""),
        ("service_started", "waiting", "waits for postgres to start"),
        ("service_started", "starting", ""),
    ],
)
def test_a_container_that_waits_says_for_what(condition: str, state: str, words: str) -> None:
    states = {"postgres": (state, "exited with 3" if state == "failed" else "")}
    assert docker_state.waits_for({"postgres": {"condition": condition}}, states) == words
