"""Runs over Airflow's REST API: to a model, concurrent, and resumed after a failure."""

from datetime import datetime

import pytest

from pantheon.airflow.handover import taken
from pantheon.airflow.settings import run_id
from pantheon.files import read_json
from pantheon.workflow.run import RUN_ID
from tests.support import ROOT
from tests.support.airflow import Prometheus
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(400)


def test_two_concurrent_runs_succeed_and_both_make_a_model(prometheus: Prometheus) -> None:
    conf = {"diabetes": {"dataset": "diabetes"}, "wine": {"dataset": "wine"}}
    begun = {name: prometheus.trigger(name, **conf[name]) for name in conf}
    for name, dag_run in begun.items():
        assert prometheus.wait(dag_run) == "success"
        (event,) = prometheus.airflow.events("etl", dag_run)
        run = event["extra"]["run"]
        assert RUN_ID.fullmatch(run)
        record = until(lambda run=run: taken(prometheus.state, run), 120, "the dataflow is asked")
        assert record["dag"] == "dataflow"
        assert prometheus.wait(record["dag_run"], "dataflow", 240) == "success"
        assert read_json(prometheus.state / "runs" / run / "run.json")["dataset"] == name
        assert read_json(prometheus.state / "runs" / run / "outcome.json")["model"] == name


@pytest.mark.usefixtures("alone")
def test_wrong_input_fails_immediately_and_the_run_resumes_after_the_fix(prometheus: Prometheus) -> None:
    dag_run = prometheus.trigger("wrong", dataset="mine")
    assert prometheus.wait(dag_run) == "failed"
    assert prometheus.tries(dag_run)["load_data"] == ("failed", 1)
    (task,) = (task for task in prometheus.airflow.tasks("etl", dag_run) if task.task == "load_data")
    said = prometheus.airflow.log(task)
    cause = next(index for index, line in enumerate(said) if "there is no dataset 'mine'." in line)
    assert "There are: breast_cancer, diabetes, robots, wine" in said[cause + 1]
    spec = (ROOT / "datasets" / "robots.toml").read_text()
    (prometheus.state / "data" / "mine.toml").write_text(spec)
    prometheus.airflow.repeat("etl", dag_run)
    until(lambda: prometheus.airflow.state("etl", dag_run) != "failed", 30, "it goes on")
    assert prometheus.wait(dag_run) == "success"
    found = prometheus.airflow.ask(f"/api/v2/dags/etl/dagRuns/{dag_run}")
    expected = run_id(None, dag_run, datetime.fromisoformat(found["run_after"]))
    assert [event["extra"] for event in prometheus.airflow.events("etl", dag_run)] == [{"run": expected}]
