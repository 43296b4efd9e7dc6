"""Other models and windows than in the month: without a reference, with little traffic, of numbers, without rows."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame, count, selection_rate
from sklearn.metrics import accuracy_score

from pantheon.errors import PantheonError
from pantheon.monitoring.monitor import monitor
from pantheon.monitoring.report import Report
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.read import predictions
from pantheon.store import FolderStore
from pantheon.workflow.bundle.distribution import of_numbers
from pantheon.workflow.bundle.reference import Reference
from tests.support.bundles import ROBOTS, bundle
from tests.support.month import DAY, START, Month, Traffic, answered_at
from tests.support.predictions import said, segment

HOUR = timedelta(hours=1)


def test_a_model_built_elsewhere_is_compared_with_its_first_rows(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=1, described=False)
    (first,) = month.run(1, lambda _: Traffic(rows=1_000))  # a Sunday: half of them
    assert (first.reference, [column.psi for column in first.columns]) == ("", [None] * 3)
    assert "There are 49" in first.notes[0] or "There are 50" in first.notes[0]
    (second,) = month.run(1)
    assert second.reference == "log"
    assert "its first 1,000 rows in the log" in second.notes[0]
    assert all(column.psi is not None and column.windows == 0 for column in second.columns)
    kept = month.place.read("_monitoring/robots/references/1.json")
    last = month.run(2, lambda _: Traffic(shift=0.8))[-1]
    assert ("drift", "rust-level") in {(alert.check, alert.subject) for alert in last.alerts}
    assert month.place.read("_monitoring/robots/references/1.json") == kept, "the reference stays"


def test_rows_of_short_windows_are_looked_at_together(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=2)
    month.day += DAY
    month.write(Traffic(rows=24 * 90))  # 90 in an hour
    last: Report | None = None
    looked, rows = [], 0
    for hour in range(24):
        end = month.day + (hour + 1) * HOUR
        last = monitor(month.store, month.place, month.spool, "robots", until=end, window=HOUR, previous=last)
        looked.append(all(column.psi is not None for column in last.columns))
        rows += last.rows
        assert last.alerts == []
    assert rows > 24 * 90 * 0.98
    assert looked[:2] == [False, False], "fewer than 200 rows"
    assert 4 <= sum(looked) <= 12
    assert last
    assert last.memory.counts["errors"][0] == 24 * 90


def test_groups_have_the_metrics_of_fairlearn(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=3)
    (report,) = month.run(1, lambda _: Traffic(judged=1.0))
    rows = predictions(month.place, month.spool, model="robots").filter(pl.col("status") == 200)
    region = [json.loads(text)["context"]["region"] for text in rows["input"]]
    predicted = rows["prediction"].cast(pl.Int64).to_numpy()
    truth = np.where(rows["correct"].to_numpy(), predicted, 1 - predicted)
    frame = MetricFrame(
        metrics={"rate": selection_rate, "accuracy": accuracy_score, "count": count},
        y_true=truth,
        y_pred=predicted,
        sensitive_features=region,
    )
    assert report.fairness
    for group in report.fairness.groups:
        if (group.column, group.part) == ("region", "all"):
            assert group.share.value == pytest.approx(frame.by_group.loc[group.value, group.measure])
            assert group.share.rows == frame.by_group.loc[group.value, "count"]
    assert report.fairness.ratios["region"] == pytest.approx(frame.ratio()["rate"])
    assert report.performance[0].value == pytest.approx(frame.overall["accuracy"])


class Hours:
    """A model that predicts hours; errors of its feedback are as given."""

    def __init__(self, folder: Path) -> None:
        self.place, self.spool, self.store = FolderPlace(folder / "p"), folder / "spool", FolderStore(folder / "models")
        self.random, self.day = np.random.default_rng(4), START
        made = bundle(folder / "b", ROBOTS[:1], "regression")
        predicted = of_numbers(self.random.normal(20, 4, 4_000))
        columns = {"robot-age": of_numbers(self.random.uniform(0, 40, 4_000))}
        (made / "reference.json").write_bytes(msgspec.json.encode(Reference(1, 4_000, columns, None, predicted)))
        self.store.promote("robots", self.store.publish("robots", made, {}), "champion", expected=None)
        self.last: Report | None = None

    def run(self, error: float, rows: int = 400, late: timedelta = timedelta(minutes=1)) -> Report:
        records, feedback = [], []
        for second in np.sort(self.random.uniform(0, 80_000, rows)):
            at = int((self.day.timestamp() + second) * 1e6)
            record, hours = answered_at(self.random, at, status=200), float(self.random.normal(20, 4))
            age = round(float(self.random.uniform(0, 40)), 1)
            records.append((record, {"robot-age": age}, hours))
            truth, when = hours + error * float(self.random.normal()), at + int(late.total_seconds() * 1e6)
            feedback.append(said(record.id, at=when, correct=None, value=truth))
        segment(self.spool, records, feedback)
        self.day += DAY
        return self.report(self.day)

    def report(self, until: datetime) -> Report:
        self.last = monitor(self.store, self.place, self.spool, "robots", until=until, window=DAY, previous=self.last)
        return self.last


def test_numbers_have_errors_with_intervals_and_become_worse(tmp_path: Path) -> None:
    hours = Hours(tmp_path)
    reports = [hours.run(1.5) for _ in range(3)]
    assert [report.alerts for report in reports] == [[], [], []]
    mae, rmse = reports[-1].performance
    for measure, expected in ((mae, 1.5 * np.sqrt(2 / np.pi)), (rmse, 1.5)):
        assert measure.value == pytest.approx(expected, rel=0.15)
        assert measure.low < measure.value < measure.high  # type: ignore[operator]
    assert mae.reference == pytest.approx(1.5 * np.sqrt(2 / np.pi), rel=0.15)
    assert reports[-1].predictions
    assert len(reports[-1].predictions.shares) == 10
    (alert,) = hours.run(3.0).alerts
    assert (alert.level, alert.check, alert.subject) == ("page", "performance", "mae")
    assert "mean absolute error of 400 judged predictions is 2." in alert.text


def test_feedback_counts_when_it_is_given(tmp_path: Path) -> None:
    """It may come days after the prediction."""
    hours = Hours(tmp_path)
    assert hours.run(1.5, late=timedelta(days=2)).judged == 0
    assert hours.last
    assert "No feedback" in hours.last.notes[-1]
    assert hours.report(START + 2 * DAY).judged == 0
    assert hours.report(START + 3 * DAY).judged == 400
    assert hours.report(START + 4 * DAY).judged == 0


def test_a_window_without_rows_says_so_and_ends_no_alert(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=5)
    month.run(2, lambda _: Traffic(shift=0.8))
    (empty,) = month.run(1, lambda _: Traffic(rows=0))
    assert empty.notes[0] == "Nothing was answered in this window."
    assert (empty.requests, empty.version, empty.latency.p50) == (0, "1", None)
    assert ("drift", "rust-level") in {(alert.check, alert.subject) for alert in empty.alerts}, "nothing says it ended"
    (after,) = month.run(1)
    assert ("drift", "rust-level") not in {(alert.check, alert.subject) for alert in after.alerts}


def test_commands_in_alerts_name_the_deployment(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=5)
    month.day += DAY
    month.write(Traffic(refused=0.5))
    report = monitor(
        month.store,
        month.place,
        month.spool,
        "robots",
        until=month.day + DAY,
        window=DAY,
        previous=None,
        deployment="shop",
    )
    (refused,) = (alert for alert in report.alerts if alert.check == "errors")
    assert " --name shop`" in refused.look


def test_a_version_that_is_removed_is_a_note_and_an_unknown_model_an_error(tmp_path: Path) -> None:
    month = Month(tmp_path, seed=6)
    month.run(1)
    month.store.drop("robots", "champion", expected="1")
    month.store.publish("robots", tmp_path / "bundle", {})
    shutil.rmtree(tmp_path / "models" / "robots" / "1")
    (report,) = month.run(1)
    assert report.rows > 1_900
    assert "Version 1 cannot be looked at" in report.notes[0]
    with pytest.raises(PantheonError, match="no model 'other'"):
        monitor(month.store, month.place, None, "other", window=DAY, previous=None)
