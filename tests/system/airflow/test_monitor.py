"""The monitor starts a retraining over Airflow's real REST API: with its reason, once."""

from typing import Any

import pytest

from pantheon.airflow.monitor import Monitor, busy, retrain
from pantheon.deployment.airflow_run import new_id
from pantheon.files import read_json
from tests.support.airflow import Prometheus

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("alone")]


class Says(Monitor):
    """A monitor that says that the model must be trained again; the data is that of robots."""

    def __init__(self, run: str) -> None:
        self.run, self.asked = run, []  # type: ignore[var-annotated]

    def ask(self, question: str, **given: Any) -> Any:
        self.asked.append(question)
        made = {"run": self.run, "model": "robots", "dataset": "robots", "reason": given.get("why"), "rows": 300}
        return {"start": True, "why": given.get("why"), "retraining": made}


def test_a_retraining_is_a_run_of_the_etl_with_its_reason(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIR", str(prometheus.state))
    run, said = new_id(), list[str]()
    says, due = Says(run), {"robots": "accuracy fell."}
    assert retrain(says, prometheus.airflow, due, said.append, ("etl",)) == {"model": "robots", "run": run}
    assert says.asked == ["retrain", "begun"]
    dag_run = f"monitor__{run}"
    found = prometheus.airflow.ask(f"/api/v2/dags/etl/dagRuns/{dag_run}")
    assert found["conf"]["reason"] == "robots: accuracy fell."
    assert found["note"] == "Started by the monitor. robots: accuracy fell."
    prometheus.airflow.trigger("etl", dag_run, {})  # repeated by a retry: the same run
    if busy(prometheus.airflow, ("etl",)):  # it may have ended
        assert retrain(Says(run), prometheus.airflow, due, said.append, ("etl",)) == {}
    assert prometheus.wait(dag_run) == "success"
    assert busy(prometheus.airflow, ("etl",)) == ""
    assert read_json(prometheus.state / "runs" / run / "run.json")["dataset"] == "robots"
