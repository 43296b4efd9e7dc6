"""A simulated month: 20 clean days without an alert, then something changes, and is noticed within two windows.

The groups differ, weekends differ, and some requests are refused: that is usual, and nothing to tell anybody.
"""

from pathlib import Path

import pytest

from pantheon.monitoring.report import Alert, Report, keep, latest
from tests.support.month import Day, Month, Traffic

CLEAN_DAYS = 20


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Month, list[Report]]:
    month = Month(tmp_path_factory.mktemp("month"), seed=0)
    return month, month.run(CLEAN_DAYS)


def test_clean_days_have_no_page_and_no_ticket(clean: tuple[Month, list[Report]]) -> None:
    _, reports = clean
    assert [alert for report in reports for alert in report.alerts] == []
    last = reports[-1]
    assert (last.reference, last.versions, last.notes) == ("training", {"1": last.rows}, [])
    assert last.requests == 2000 >= last.rows > 1980
    assert {column.name for column in last.columns} == {"robot-age", "rust-level", "battery"}
    assert last.fairness
    assert {group.column for group in last.fairness.groups} == {"battery", "region"}, "a customer is not a group"
    assert last.fairness.ratios["region"] < 0.8, "groups differ, as they always did"
    assert last.performance[0].value == pytest.approx(0.9, abs=0.06)
    assert last.performance[0].reference == pytest.approx(0.9, abs=0.02), "the windows before"


def on_weekends(moment: object) -> Traffic:
    return Traffic(halved="north" if moment.weekday() >= 5 else "")  # type: ignore[attr-defined]


CHANGES: dict[str, tuple[Day, Alert]] = {
    "an input moves by half a standard deviation": (
        lambda _: Traffic(shift=0.5),
        Alert("ticket", "drift", "rust-level", "2 windows in a row: PSI 0.", "the world"),
    ),
    "a rate is halved for one group, on weekends": (
        on_weekends,
        Alert("ticket", "fairness", "region=north", "on weekends, 1 is predicted for", "these rows"),
    ),
    "a category is renamed": (
        lambda _: Traffic(renamed="mid"),
        Alert("page", "categories", "battery", "it was probably renamed", "renamed it"),
    ),
    "an input is left out": (
        lambda _: Traffic(missing=True),
        Alert("page", "missing", "robot-age", "has no value in", "a caller has left it out"),
    ),
    "requests are refused": (
        lambda _: Traffic(refused=0.05),
        Alert("page", "errors", "battery", '"battery": expected a text', "callers send"),
    ),
    "predictions become worse": (
        lambda _: Traffic(accuracy=0.75),
        Alert("page", "performance", "accuracy", "judged predictions were right", "train again"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_within_two_windows(clean: tuple[Month, list[Report]], tmp_path: Path, change: str) -> None:
    day, expected = CHANGES[change]
    reports = clean[0].copy(tmp_path, seed=1).run(2, day)
    found = [alert for report in reports for alert in report.alerts]
    about = [alert for alert in found if (alert.check, alert.subject) == (expected.check, expected.subject)]
    assert about, found
    assert {alert.level for alert in about} == {expected.level}
    assert expected.text in about[0].text
    assert expected.look in about[0].look
    assert f"--until {reports[-1].until[:16]}`" in about[-1].look
    others = {(alert.check, alert.subject) for alert in found} - {(expected.check, expected.subject)}
    assert others <= {("drift", expected.subject), ("predictions", "")}, "what follows from it"
    assert all(alert.level == "ticket" for alert in found if alert.check == "drift")


def test_asking_again_within_a_window_counts_nothing_twice(clean: tuple[Month, list[Report]], tmp_path: Path) -> None:
    month = clean[0].copy(tmp_path, seed=2)
    (first,) = month.run(1, lambda _: Traffic(shift=0.5))
    assert [column.windows for column in first.columns if column.name == "rust-level"] == [1]
    month.day -= (month.day - clean[0].day) / 2
    (again,) = month.run(1, lambda _: Traffic(rows=0))
    assert [column.windows for column in again.columns if column.name == "rust-level"] == [1]
    assert again.memory.counts["errors"] == first.memory.counts["errors"]


def test_a_report_is_kept_and_read_again(clean: tuple[Month, list[Report]], tmp_path: Path) -> None:
    month = clean[0].copy(tmp_path, seed=3)
    (report,) = month.run(1)
    keep(month.place, report)
    assert latest(month.place, "robots") == report
