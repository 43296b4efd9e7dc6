"""Runs by Airflow's REST API: to the model, two at once, and again from where one failed."""

from datetime import datetime

import pytest

from pantheon.airflow.handover import taken
from pantheon.airflow.settings import run_id
from pantheon.workflow.run import RUN_ID, read_json
from tests.airflow.conftest import Prometheus, until
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_two_runs_at_once_go_green_and_end_with_a_model_each(prometheus: Prometheus) -> None:
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
def test_wrong_input_fails_at_once_and_the_run_goes_on_from_there_when_it_is_put_right(prometheus: Prometheus) -> None:
    dag_run = prometheus.trigger("wrong", dataset="mine")
    assert prometheus.wait(dag_run) == "failed"
    assert prometheus.tries(dag_run)["load_data"] == ("failed", 1)
    (task,) = (task for task in prometheus.airflow.tasks("etl", dag_run) if task.task == "load_data")
    said = prometheus.airflow.log(task)
    cause = next(index for index, line in enumerate(said) if "there is no dataset 'mine'." in line)
    assert "There are: breast_cancer, diabetes, robots, wine." in said[cause + 1]
    spec = (ROOT / "datasets" / "robots.toml").read_text()
    (prometheus.state / "data" / "mine.toml").write_text(spec)
    prometheus.airflow.repeat("etl", dag_run)
    until(lambda: prometheus.airflow.state("etl", dag_run) != "failed", 30, "it goes on")
    assert prometheus.wait(dag_run) == "success"
    found = prometheus.airflow.ask(f"/api/v2/dags/etl/dagRuns/{dag_run}")
    expected = run_id(None, dag_run, datetime.fromisoformat(found["run_after"]))
    assert [event["extra"] for event in prometheus.airflow.events("etl", dag_run)] == [{"run": expected}]
