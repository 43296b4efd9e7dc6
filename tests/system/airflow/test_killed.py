"""After kill -9 of a service during a run, the service restarts and the run succeeds."""

import os
import signal

import pytest

from pantheon.workflow.run import Run
from tests.support.airflow import Prometheus
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(400)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("service", ["airflow-scheduler", "airflow", "postgres"])
def test_a_killed_service_restarts_and_the_run_succeeds(prometheus: Prometheus, service: str) -> None:
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
    assert {stage.state for stage in run.records().values()} == {"done"}
    assert not list(run.folder.rglob(".*.part"))


@pytest.mark.usefixtures("alone")
def test_a_hanging_dag_processor_is_detected_and_a_killed_one_restarts(prometheus: Prometheus) -> None:
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
