"""Which window follows which, how long one is, and what the command prints about it."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pantheon.cli import monitor_views
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.monitoring import retrain
from pantheon.monitoring.report import Errors, Share, keep
from pantheon.monitoring.work import Here, answer, previous, window_of
from pantheon.predictions.place import FolderPlace
from tests.support.alerts import DRIFT, START, WORSE, report

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("schedule", "hours"), [("@hourly", 1), ("@daily", 24), ("@weekly", 168), ("0 6 * * *", 24), ("", 24)]
)
def test_a_window_is_as_long_as_the_schedules_interval(schedule: str, hours: int) -> None:
    assert window_of(schedule) == timedelta(hours=hours)


def test_a_report_that_somebody_asked_for_in_between_is_not_the_one_before(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    assert previous(place, "robots", START + HOUR, HOUR) is None
    for hour in (1, 2):
        keep(place, report(hour))
    between = (START + timedelta(hours=2, minutes=50)).isoformat()
    keep(place, report(2, until=between))
    for minutes, before in ((170, 2), (180, 2), (125, 1)):
        found = previous(place, "robots", START + timedelta(minutes=minutes), HOUR)
        assert found
        assert datetime.fromisoformat(found.until) == START + before * HOUR


def test_what_other_data_cannot_mend_is_no_reason_to_train() -> None:
    assert retrain.reason(report(1)) == ""
    assert retrain.reason(report(1, WORSE, DRIFT)) == f"{WORSE.text} {DRIFT.text}"


def test_an_unknown_question_names_those_that_there_are(tmp_path: Path) -> None:
    here = Here(tmp_path, tmp_path, tmp_path, None)
    with pytest.raises(PantheonError, match="there is no question 'nonsense'") as error:
        answer(here, "nonsense", {})
    assert "report" in error.value.cure


def test_a_report_is_one_sentence_of_figures() -> None:
    assert monitor_views.summary(report(1).to_json()) == (
        "500 requests with 500 rows, half of them answered within 0.20 ms, 99 % within 1.00 ms, none refused, "
        "no feedback: nothing needs a look."
    )
    errors = Errors(Share(0.1, 0.08, 0.13, 500), None, {"422": 50}, [])
    told = monitor_views.summary(report(1, WORSE, errors=errors, judged=40).to_json())
    assert told.endswith("10.0% refused, feedback about 40 rows: 1 alert.")
    assert monitor_views.summary(report(1, requests=0).to_json()) == "There was no request."


def test_alerts_come_first_and_the_command_that_trains_again_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    alerts = {"channels": ["file"], "open": [], "told": [], "waiting": []}
    waiting = {"title": "ALERT: robots", "channel": "webhook", "tries": 2, "problem": "status 404"}
    found = {
        "kept": True,
        "reports": {"robots": report(1, WORSE).to_json()},
        "due": {"robots": WORSE.text},
        "settled": [],
        "alerts": {**alerts, "waiting": [waiting]},
    }
    monitor_views.print_reports(found, Deployment("made"))
    shown = capsys.readouterr()
    out = " ".join(shown.out.split())
    assert out.index(WORSE.text) < out.index(WORSE.look) < out.index("500 requests") < out.index("rust-level")
    assert "monitor --model robots --train-again" in out
    assert "not delivered by webhook" in " ".join(shown.err.split())
