"""What `status` says of a service that is not up yet, in words for people."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pantheon.engines.compose import state as container_state


def container(**more: Any) -> dict[str, Any]:
    begun = (datetime.now(UTC) - timedelta(seconds=12.2)).isoformat().replace("+00:00", "Z")
    found = {"Status": "running", "StartedAt": begun, "FinishedAt": container_state.NEVER, "ExitCode": 0}
    return {
        "Config": {"Labels": {container_state.LABEL: "web"}},
        "Created": begun,
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        "RestartCount": more.pop("restarts", 0),
        "State": found | more,
    }


def test_a_container_that_starts_says_the_same() -> None:
    health = {"Status": "starting", "Log": [{"Output": "one\nconnection refused\n", "End": "x"}]}
    assert container_state.state_of(container(Health=health))[:2] == (
        "starting",
        "12 s so far; health check says: connection refused",
    )
    assert container_state.state_of(container(Health={"Status": "starting"}, restarts=1))[:2] == (
        "starting",
        "12 s so far; restarted once",
    )
    assert container_state.state_of(container(Health={"Status": "healthy"}, restarts=2))[:2] == (
        "healthy",
        "restarted 2 times",
    )
    now, why, _ = container_state.state_of(container(Status="restarting", ExitCode=137, restarts=3))
    assert now == "restarting"
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
    assert container_state.waits_for({"postgres": {"condition": condition}}, states) == words
