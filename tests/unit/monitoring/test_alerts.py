"""Alerts are told once when they begin and once when they end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.monitoring import alerts
from pantheon.monitoring.alerts import State, update
from pantheon.monitoring.deliver import FILE, Channels, Mail, deliver, message
from pantheon.monitoring.report import Alert, Measure
from tests.support.alerts import DRIFT, START, WORSE, column, report


def told(state: State, *reports: object) -> list[str]:
    return [
        f"{notice.what} {notice.check}"
        for each in reports
        for notice in update(state, each, ["file"])  # type: ignore[arg-type]
    ]


def test_an_alert_is_told_when_it_begins_and_when_it_ends_not_in_between() -> None:
    state = State()
    assert told(state, report(1, DRIFT), report(2, DRIFT), report(3, DRIFT)) == ["begins drift"]
    assert told(state, report(4), report(5)) == ["ends drift"]
    assert told(state, report(6, DRIFT)) == ["begins drift"]


def test_its_end_says_how_long_it_lasted_and_what_it_was() -> None:
    state = State()
    update(state, report(1, DRIFT), [])
    (end,) = update(state, report(4), [])
    assert end.words == f"This has ended after 3 h. When it began, the monitor said: {DRIFT.text}"
    assert end.title == "Ended: robots, drift (rust-level)"


def test_another_text_about_the_same_thing_is_the_same_alert_and_a_worse_level_is_told() -> None:
    state, again = State(), Alert("ticket", "drift", "rust-level", "PSI 0.5 now", "")
    assert told(state, report(1, DRIFT), report(2, again)) == ["begins drift"]
    page = Alert("page", "drift", "rust-level", "PSI 5 now", "")
    assert told(state, report(3, page), report(4, page)) == ["begins drift"]
    assert told(state, report(5)) == ["ends drift"]


def test_models_and_subjects_are_told_apart() -> None:
    state = State()
    other = Alert("ticket", "drift", "battery", "battery has moved", "")
    assert (
        told(state, report(1, DRIFT), report(1, DRIFT, model="wine"), report(2, DRIFT, other)) == ["begins drift"] * 3
    )
    assert [notice.model for notice in update(state, report(3, model="wine"), [])] == ["wine"]


@pytest.mark.parametrize(
    "empty",
    [
        report(2, requests=0, rows=0, columns=[]),
        report(2, columns=[column("rust-level", psi=None, rows=40)]),
    ],
)
def test_a_window_with_too_few_rows_ends_nothing(empty: object) -> None:
    state = State()
    assert told(state, report(1, DRIFT), empty, report(3, DRIFT)) == ["begins drift"]


def test_performance_ends_with_feedback_only() -> None:
    state, measured = State(), [Measure("accuracy", 0.92, 0.9, 0.94, 400, 0.91)]
    assert told(state, report(1, WORSE), report(2), report(3, performance=measured)) == [
        "begins performance",
        "ends performance",
    ]


def test_a_window_that_is_looked_at_again_ends_nothing_that_a_later_one_began() -> None:
    state = State()
    assert told(state, report(5, DRIFT), report(4)) == ["begins drift"]


def test_the_state_survives_and_a_damaged_one_names_the_way_out(tmp_path: Path) -> None:
    state = State()
    update(state, report(1, DRIFT), ["file", "mail"])
    alerts.write(tmp_path, state)
    assert alerts.read(tmp_path) == state
    assert (tmp_path / alerts.STATE).stat().st_mode & 0o777 == 0o600
    (tmp_path / alerts.STATE).write_text("{")
    with pytest.raises(PantheonError, match="is damaged") as error:
        alerts.read(tmp_path)
    assert "mv " in error.value.cure


def test_the_file_has_a_line_for_each_message_and_none_twice(tmp_path: Path) -> None:
    state = State()
    update(state, report(1, DRIFT), ["file"])
    update(state, report(2), ["file"])
    alerts.write(tmp_path, state)
    deliver(tmp_path, Channels())
    alerts.write(tmp_path, state)  # killed before the new state was written
    done = deliver(tmp_path, Channels())
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) == 2
    assert '"what": "begins"' in lines[0]
    assert DRIFT.look in lines[0]
    assert done.waiting == []
    assert [each.problem for each in done.told] == ["", ""]


def test_failures_wait_longer_and_longer_and_a_removed_channel_is_forgotten(tmp_path: Path) -> None:
    state, nowhere = State(), Channels(webhook="http://127.0.0.1:99999/secret-token")
    update(state, report(1, DRIFT), nowhere.names)
    alerts.write(tmp_path, state)
    now, waits = START + timedelta(hours=1), []
    for _ in range(3):
        (waiting,) = deliver(tmp_path, nowhere, now, lambda seconds: None).waiting
        again = datetime.fromisoformat(waiting.again)
        waits.append((again - now).total_seconds() / 60)
        assert deliver(tmp_path, nowhere, again - timedelta(seconds=1)).waiting[0].tries == waiting.tries
        now = again
    assert waits == [1, 2, 4]
    assert "secret-token" not in (tmp_path / alerts.STATE).read_text()
    late = deliver(tmp_path, nowhere, now + timedelta(days=8), lambda seconds: None)
    assert late.waiting == []
    assert late.told[-1].problem.startswith("the webhook does not answer")
    update(late, report(2), nowhere.names)
    alerts.write(tmp_path, late)
    assert deliver(tmp_path, Channels()).waiting == []


def test_what_users_sent_cannot_add_headers_to_a_mail() -> None:
    state = State()
    bad = Alert("page", "categories", "battery\r\nBcc: everybody@example.com", "new\nvalue", "")
    (notice,) = update(state, report(1, bad), [])
    made = message(Mail("mail.test", "pantheon@example.com", ("ops@example.com",)), notice)
    assert "Bcc" not in made
    assert made["To"] == "ops@example.com"
    assert datetime.now(UTC).strftime("%Y") in str(made["Date"])
