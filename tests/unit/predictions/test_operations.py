"""What commands ask of the log, and feedback of other systems."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pantheon import inside
from pantheon.errors import PantheonError
from pantheon.predictions.importing import read_feedback
from pantheon.predictions.operations import moment
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.ship import ship
from pantheon.store import FolderStore
from tests.support.predictions import answered, said, segment

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def ask(state: Path, question: str, **given: Any) -> Any:
    """Ask as commands do: the answer is JSON."""
    return json.loads(json.dumps(inside.answer(state, f"predictions.{question}", given)))


def test_one_request_is_shown_with_its_version_and_its_feedback(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"x")
    FolderStore(tmp_path / "models").publish("robots", model, {"data": "sha256:1", "metric": "accuracy"})
    record, gone = answered(), answered(version="7")
    opinion = said(record.id, correct=False, value=1, comment="it was broken", by="import")
    segment(spool_of(tmp_path), [(record, {"a": 1.5}, 0), (gone, {}, 1)], [opinion])
    shown = ask(tmp_path, "show", id=record.id)
    (row,) = shown["rows"]
    assert (row["input"], row["prediction"], row["correct"], row["true_value"]) == ({"a": 1.5}, 0, False, 1)
    assert (row["comment"], row["said_by"], row["said_through"]) == ("it was broken", "import", "endpoint")
    assert datetime.fromisoformat(row["at"]).timestamp() == pytest.approx(record.at / 1e6)
    assert shown["versions"]["1"]["data"] == "sha256:1"
    assert "why" in ask(tmp_path, "show", id=gone.id)["versions"]["7"]
    with pytest.raises(PantheonError, match=r"has no request .* It may be older"):
        ask(tmp_path, "show", id=answered().id)


def test_the_newest_are_listed_and_forgotten(tmp_path: Path) -> None:
    records = [answered() for _ in range(5)]
    segment(spool_of(tmp_path), [(record, {"n": number}, 0) for number, record in enumerate(records)])
    ship(open_place(tmp_path), spool_of(tmp_path))
    found = ask(tmp_path, "list", most=2, since="1h")
    assert [row["id"] for row in found["rows"]] == [record.id for record in records[3:]]
    assert found["where"] == str(tmp_path / "predictions")
    with pytest.raises(PantheonError, match="--since 1h is not before --until 2h"):
        ask(tmp_path, "list", since="1h", until="2h")
    assert ask(tmp_path, "forget", column="n", value="4")["words"].startswith("1 prediction and 0 pieces")
    assert [row["input"] for row in ask(tmp_path, "list", most=1)["rows"]] == [{"n": 3}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:30+02:00", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_times_that_users_type(text: str, expected: datetime | None) -> None:
    assert moment(text, NOW) == expected


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(PantheonError, match="'yesterday' is not a time"):
        moment("yesterday")


ID = answered().id


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"id": ID}, "it says nothing"),
        ({"id": ID, "correct": "maybe"}, "neither true nor false"),
        ({"id": ID, "correct": True, "row": "-1"}, "not the number of a row"),
        ({"id": ID, "correct": True, "row": "x"}, "not the number of a row"),
        ({"id": ID, "correct": True, "at": "soon"}, "not a time"),
        ({"id": ID, "value": [1]}, "one value"),
        ({"id": ID, "comment": "x" * 2001}, "longer than"),
        ({"id": ID, "correct": True, "colour": "red"}, "'colour' is not one of the columns"),
        ({"correct": True}, "has no id"),
        ({"id": "x", "correct": True}, "not the id of a request"),
        ({"id": ID, "correct": True, "at": "2999-01-01"}, "in the future"),
    ],
)
def test_rows_that_are_no_feedback_are_reported_with_their_number(line: dict[str, Any], why: str) -> None:
    good = {"id": ID.upper(), "row": "2", "correct": " Yes", "value": "", "comment": None, "at": "2026-03-01"}
    (record,), ((number, reason),) = read_feedback([good, line], "crm")
    assert (record.id, record.row, record.correct, record.value, record.by) == (ID, 2, True, None, "crm")
    assert record.at == datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6
    assert number == 2
    assert why in reason
