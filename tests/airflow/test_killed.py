"""kill -9 of each service during a run: it comes back, and the run ends well."""

import os
import signal

import pytest

from pantheon.workflow.run import Run
from tests.airflow.conftest import Prometheus, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("service", ["airflow-scheduler", "airflow", "postgres"])
def test_a_killed_service_comes_back_and_the_run_ends_well(prometheus: Prometheus, service: str) -> None:
    dag_run = prometheus.trigger(f"killed-{service}")
    until(lambda: prometheus.running(dag_run), 60, "a task runs")
    killed = prometheus.kill(service)
    state = prometheus.wait(dag_run, seconds=150)
    prometheus.healthy_again(service, killed)
    if state == "failed":  # allowed, if it can be repeated
        prometheus.airflow.repeat("etl", dag_run)
        until(lambda: prometheus.airflow.state("etl", dag_run) != "failed", 30, "it goes on")
        state = prometheus.wait(dag_run)
    assert state == "success"
    (event, *_) = prometheus.airflow.events("etl", dag_run)
    run = Run.find(prometheus.state, event["extra"]["run"])
    assert {stage["state"] for stage in run.stages().values()} == {"done"}
    assert not list(run.folder.rglob(".*.part"))


@pytest.mark.usefixtures("alone")
def test_a_dag_processor_that_hangs_is_seen_and_one_that_is_killed_comes_back(prometheus: Prometheus) -> None:
    service = "airflow-dag-processor"
    check = ("-m", "pantheon.airflow.health", "dag-processor")
    assert prometheus.inside(service, *check).returncode == 0
    pid = prometheus.pid(service)
    os.kill(pid, signal.SIGSTOP)
    try:
        dag_run = prometheus.trigger("hung")  # runs do not need it
        assert prometheus.wait(dag_run) == "success"
        hung = until(lambda: (done := prometheus.inside(service, *check)).returncode and done, 60, "seen")
        assert "no heartbeat for" in hung.stderr
    finally:
        os.kill(pid, signal.SIGKILL)
    prometheus.healthy_again(service, pid)
    assert prometheus.inside(service, *check).returncode == 0
