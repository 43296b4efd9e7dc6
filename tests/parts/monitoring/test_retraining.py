"""Retraining with users' feedback, through the real workflow: worse models are refused, better ones are deployed."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pantheon.monitoring import retrain
from pantheon.monitoring.deliver import FILE
from pantheon.monitoring.retrain import COOL_DOWN, MARK, Retraining, begin, mark_begun, settle
from pantheon.monitoring.work import Here, answer
from pantheon.predictions.ids import new_id
from pantheon.predictions.place import FolderPlace
from pantheon.state import Outcome
from pantheon.store import FolderStore
from pantheon.workflow import graph
from pantheon.workflow.data.generate import robots
from pantheon.workflow.data.spec_file import dump_spec, read_spec
from pantheon.workflow.run import Params, Run
from tests.support import DATASETS
from tests.support.predictions import answered, said, segment
from tests.support.waiting import until

FIRST = "20260101-000000-0000"
PARAMS = Params(trials=1, folds=2)
NOW = datetime.now(UTC)
LATER = NOW + COOL_DOWN + timedelta(minutes=1)


class Deployment:
    """The folders of a deployment whose model was trained on a few hundred robots."""

    def __init__(self, state: Path, rows: int) -> None:
        self.state, self.folder = state, state / "volumes" / "monitor"
        for name in ("data", "runs", "models", "volumes/monitor"):
            (state / name).mkdir(parents=True)
        self.store, self.spool = FolderStore(state / "models"), state / "volumes" / "spool"
        spec = read_spec(DATASETS / "robots.toml")
        spec = replace(spec, source=replace(spec.source, rows=rows))
        self.run("robots", dump_spec(spec))

    @property
    def here(self) -> Here:
        return Here(self.state, self.folder, self.state / "secrets", self.spool)

    @property
    def file(self) -> Path:
        """The file that alerts are written to."""
        return self.folder / FILE

    def run(self, dataset: str, spec: str, name: str = FIRST) -> Outcome:
        run = Run.ensure(self.state, name, spec, dataset, PARAMS)
        graph.run_graph(run, self.store, lambda event: None)
        assert run.outcome
        return run.outcome

    def judged(self, rows: pl.DataFrame, truth: Callable[[int], int], at: datetime = NOW) -> None:
        """Log that these robots were asked about, and that users told the truth."""
        records, told = [], []
        for row in rows.iter_rows(named=True):
            given = {"robot-age": row["robot-age"], "rust-level": row["rust-level"], "battery": row["battery"]}
            record = answered(id=new_id(), version="1")
            records.append((record, given, 1))
            told.append(said(record.id, correct=None, value=truth(row["condition"]), at=int(at.timestamp() * 1e6)))
        segment(self.spool, records, told)
        logged = datetime.now(UTC)
        until(lambda: datetime.now(UTC).replace(microsecond=0) > logged)  # a window ends with a whole second

    def begin(self, now: datetime = NOW, why: str = "accuracy fell.") -> retrain.Started:
        place = FolderPlace(self.state / "predictions")
        return begin(self.state, self.folder, self.store, place, self.spool, "robots", why, now=now)

    def retrained(self, asked: Retraining) -> Outcome:
        """Run what the monitor asks for, as Airflow would."""
        mark_begun(self.folder, asked.run)
        spec = (self.state / "data" / f"{asked.dataset}.toml").read_text()
        return self.run(asked.dataset, spec, asked.run)

    def held_out(self, run: str) -> pl.DataFrame:
        return pl.read_parquet(self.state / "runs" / run / "data" / "test.parquet").drop(MARK, strict=False)


def clean(start: int, count: int) -> pl.DataFrame:
    """Robots without typing errors, in the types of requests."""
    rows = robots(start, start + count).with_columns(
        pl.col("robot-age", "rust-level").cast(pl.Float64, strict=False),
        pl.col("condition").cast(pl.Int64, strict=False),
        pl.col("battery").str.strip_chars().str.to_lowercase(),
    )
    return rows.filter(
        pl.col("battery").is_in(["high", "low", "medium"])
        & pl.col("condition").is_not_null()
        & pl.col("robot-age").is_between(0, 60)
        & pl.col("rust-level").is_between(0, 10)
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment(tmp_path_factory.mktemp("retraining") / "state", 400)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_poisoned_feedback_is_refused_and_stays_refused_and_good_feedback_is_deployed(deployment: Deployment) -> None:
    rows, before, here = clean(2000, 1500), deployment.held_out(FIRST), deployment.here
    deployment.judged(rows, lambda condition: 1 - condition, NOW - timedelta(minutes=1))
    found = answer(here, "report", {})
    assert found["kept"]
    assert [alert["level"] for alert in found["reports"]["robots"]["alerts"]] == ["page"]
    why = found["due"]["robots"]
    assert "predictions were right" in why
    assert answer(here, "report", {"since": "1h"})["kept"] is False
    assert answer(here, "last", {})["reports"] == found["reports"]
    asked = deployment.begin(why=why)
    assert asked.start and asked.retraining, asked.why
    assert asked.retraining.reason == why
    assert deployment.begin(why=why) == asked, "whoever asked was interrupted: the same run"
    answer(here, "begun", {"run": asked.retraining.run})
    assert deployment.begin().why == f"the run {asked.retraining.run} has not ended yet."
    outcome = deployment.retrained(asked.retraining)
    assert outcome.decision == "refused", "several times as many wrong labels as right ones, and none of them judges"
    judges = deployment.held_out(asked.retraining.run)
    assert judges.equals(before.select(judges.columns))
    (settled,) = answer(here, "report", {})["settled"]
    assert (settled["decision"], settled["why"]) == ("refused", outcome.reason)
    assert answer(here, "report", {})["settled"] == []
    told = [(line["check"], line["subject"]) for line in map(json.loads, deployment.file.read_text().splitlines())]
    alert = found["reports"]["robots"]["alerts"][0]
    assert told == [(alert["check"], alert["subject"]), ("retraining", "begins"), ("retraining", "refused")]
    assert "the next one may start in 2" in deployment.begin().why
    again = deployment.begin(LATER)
    assert not again.start
    assert f"since the run {asked.retraining.run}, which was refused: {outcome.reason}" in again.why
    assert deployment.store.resolve("robots").version == "1"

    deployment.judged(rows, lambda condition: condition, LATER - timedelta(hours=1))
    asked = deployment.begin(LATER)
    assert asked.start and asked.retraining, asked.why
    assert asked.retraining.rows == rows.height, "what was refused is not used again"
    outcome = deployment.retrained(asked.retraining)
    assert (outcome.decision, outcome.version) == ("promoted", "2"), outcome.reason
    trained = pl.read_parquet(deployment.state / "runs" / asked.retraining.run / "data" / "train.parquet")
    assert trained[MARK].sum() > 0.9 * rows.height
    settle(deployment.state, deployment.folder)
    same = deployment.begin(LATER + COOL_DOWN + timedelta(hours=1))
    assert same.why == f"there is no new feedback: the run {asked.retraining.run} was promoted."
