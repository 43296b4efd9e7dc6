"""Real services that hang in their containers work again without a command."""

from typing import Any

import psutil
import pytest

from pantheon.engines.compose.client import Api
from tests.support.compose import Composed
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(1800)]
HANGING = ("postgres", "airflow-scheduler", "jupyter", "s3", "feast", "valkey", "kubeflow", "hub")
HEAL_SECONDS = 300.0


def main(inspected: dict[str, Any]) -> psutil.Process:
    """The service's process: the child of the container's init."""
    return psutil.Process(inspected["State"]["Pid"]).children()[0]


def test_services_that_are_stopped_by_a_signal_work_again(last: Composed, docker: Api) -> None:
    """All at once: none can rely on another."""
    stopped = {name: main(last.inspect(docker, name)) for name in HANGING}
    for process in stopped.values():
        process.suspend()
    for process in stopped.values():
        until(lambda: process.status() == psutil.STATUS_STOPPED)  # noqa: B023 - it is called at once

    def works(name: str) -> bool:
        state = last.inspect(docker, name)["State"]
        running = state["Running"] and main(last.inspect(docker, name)).status() != psutil.STATUS_STOPPED
        return running and state["Health"]["Status"] == "healthy" and state["Health"]["FailingStreak"] == 0

    until(lambda: not any(process.is_running() and works(name) for name, process in stopped.items()))
    until(lambda: all(map(works, HANGING)), HEAL_SECONDS, "all services are healthy")
    assert {each["state"] for each in last("status", "--json").json["services"]} == {"healthy", "completed"}
    assert last("test").status == 0
