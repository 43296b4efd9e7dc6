"""Feedback of a file is checked against the log: unknown answers and impossible values are told by their row."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.predictions.feedback_file import as_sent, checked, like, read_table
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.ship import ship
from tests.support.predictions import answered, segment

AT = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("value", "prediction", "expected"),
    [
        ("1", 0, 1),
        ("2.5", 0.5, 2.5),
        (3.0, 1, 3),
        ("1", "0", "1"),
        (1, "0", "1"),
        (2.0, "0", "2"),
        (True, "true", "true"),
        ("yes", False, True),
        (0, True, False),
        ("soon", 1, None),
        ("nan", 1.5, None),
        ("perhaps", True, None),
    ],
)
def test_a_value_gets_the_type_of_the_prediction(value: Any, prediction: Any, expected: Any) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="its value"):
            like(value, prediction)
        return
    found = like(value, prediction)
    assert (found, type(found)) == (expected, type(expected))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Two answers, of which one is stored and the other is in the spool; a refused request, and a shadow's answer."""
    global ONE, TWO, REFUSED
    one, two, refused = answered(), answered(), answered(status=422, error="no")
    shadow = answered(id=one.id, shadow=True, version="2")
    segment(spool_of(tmp_path), [(one, {"a": 1}, 0), (shadow, {"a": 1}, 1)])
    ship(open_place(tmp_path), spool_of(tmp_path))
    segment(spool_of(tmp_path), [(two, {"a": 2}, 1), (refused, {"a": "x"}, 0)])
    ONE, TWO, REFUSED = one.id, two.id, refused.id
    return tmp_path


ONE = TWO = REFUSED = ""


def test_what_the_log_does_not_know_is_refused(state: Path) -> None:
    rows = [
        {"id": ONE, "row": "0", "correct": "no", "value": "1", "at": None},
        {"id": TWO, "row": None, "correct": None, "value": "soon", "at": None},
        {"id": ONE, "row": "1", "correct": "yes", "value": None, "at": None},
        {"id": REFUSED, "row": None, "correct": "yes", "value": None, "at": None},
        {"id": answered().id, "row": None, "correct": "yes", "value": None, "at": None},
        {"id": "", "row": None, "correct": "yes", "value": None, "at": None},
        {"id": TWO.upper(), "row": "", "correct": "TRUE", "value": None, "at": "2026-02-01"},
    ]
    found, reasons = checked(open_place(state), spool_of(state), pl.DataFrame(rows), AT)
    assert [(record.id, record.row, record.correct, record.value) for record in found] == [
        (ONE, 0, False, 1),
        (TWO, 0, True, None),
    ]
    assert sorted(reasons) == [1, 2, 3, 4, 5]
    assert "is not a number" in reasons[1]
    assert all("the log has no answer" in reasons[place] for place in (2, 3, 4))
    assert reasons[5] == "it has no id."
    sent = [as_sent(record) for record in found]
    assert sent[0] == {"id": ONE, "row": 0, "at": AT, "correct": False, "value": 1}
    assert datetime.fromisoformat(sent[1]["at"]) == datetime(2026, 2, 1, tzinfo=UTC)


def test_the_same_file_gives_the_same_feedback(state: Path) -> None:
    part = pl.DataFrame({"id": [ONE, TWO], "correct": [True, None], "value": [None, 1]})
    first, second = (checked(open_place(state), spool_of(state), part, AT) for _ in range(2))
    assert first == second
    assert [record.value for record in first[0]] == [None, 1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "row,correct\n0,yes\n", "has no column 'id'"),
        ("a.csv", "id,row\nx,0\n", "has no column 'correct', 'value' or 'comment'"),
        ("a.csv", "id,correct\n", "has a header but no rows"),
        ("a.jsonl", '{"id": "x"}\n{"id": "y"}\n', "has no column 'correct'"),
    ],
)
def test_a_file_that_is_no_feedback_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(PantheonError, match=message):
        read_table(tmp_path / name, tmp_path / "scratch")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_format_is_read(tmp_path: Path, form: str) -> None:
    table = pl.DataFrame({"id": ["x", "y"], "row": [0, 1], "correct": [True, None], "value": [None, 2.5]})
    write = {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}
    write[form](tmp_path / f"a.{form}")
    (tmp_path / "scratch").mkdir()
    found = pl.read_parquet(read_table(tmp_path / f"a.{form}", tmp_path / "scratch"))
    assert found["row"].cast(int).to_list() == [0, 1]
    assert found["value"].cast(float).to_list() == [None, 2.5]
