"""A run that Airflow executes, while Airflow does not answer: the message says how to follow the run again."""

from pathlib import Path
from typing import cast

import pytest

from pantheon.airflow.client import Airflow
from pantheon.deployment.airflow_run import Pipeline
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.web.client import NoAnswer
from pantheon.workflow.runs import Progress


class Gone:
    """Airflow, which dies after it has started a run, or before."""

    address, retry_seconds = "http://airflow", 1.0

    def __init__(self, started: bool) -> None:
        self.started = started

    def wait_for_dag(self, dag: str) -> None:
        pass

    def trigger(self, dag: str, dag_run: str, conf: object) -> None:
        if not self.started:
            self.state(dag, dag_run)

    def state(self, dag: str, dag_run: str) -> str:
        raise NoAnswer("Airflow", self.address, "Connection refused", "See `status`.")


def message(started: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    airflow = cast(Airflow, Gone(started))
    pipeline = Pipeline(airflow, Deployment("gone"), lambda run: Progress(run, {}), "dataflow")
    with pytest.raises(PantheonError) as failed:
        pipeline.run({"dataset": "robots"})
    return str(failed.value)


def test_a_run_that_was_started_can_be_followed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = message(True, tmp_path, monkeypatch)
    assert said.startswith("Airflow at http://airflow does not answer: Connection refused. The run continues when")
    assert "`run --resume 20" in said


def test_a_run_that_was_not_started_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert message(False, tmp_path, monkeypatch).endswith("Connection refused. See `status`.")
