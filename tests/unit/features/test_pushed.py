"""What may be pushed to a view."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pantheon.features.api import Problem
from pantheon.features.contract import View
from pantheon.features.pushed import MOST_ROWS, check
from tests.support.feature_writing import VIEW

VIEW_ = msgspec.convert(VIEW, View)
NOW = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
FULL: dict[str, Any] = {
    "robot-id": 7,
    "robot-age": 4,
    "bolts": 7.0,
    "battery": "low",
    "rusty": False,
    "built": "2020-02-29T12:00:00.000001+02:00",
}


def refused(*rows: Any, view: View = VIEW_) -> str:
    with pytest.raises(Problem) as found:
        check(view, list(rows), NOW)
    assert found.value.code == 400 and found.value.cure
    return found.value.cause


def test_values_get_the_types_and_names_of_the_view() -> None:
    (row,) = check(VIEW_, [FULL], NOW)
    assert row.id == "7" and row.event is None
    assert row.values == {
        "robot_age": 4.0,
        "bolts": 7,
        "battery": "low",
        "rusty": False,
        "built": 1_582_970_400_000_001,
    }
    assert [type(value) for value in row.values.values()] == [float, int, str, bool, int]


def test_fields_can_be_called_by_column_or_by_name() -> None:
    by_name = {key.replace("-", "_"): value for key, value in FULL.items()}
    assert check(VIEW_, [by_name], NOW) == check(VIEW_, [FULL], NOW)
    assert "'robot_age' is given twice" in refused(FULL | {"robot_age": 5})


def test_null_is_a_value_that_is_not_known_but_every_field_must_be_given() -> None:
    (row,) = check(VIEW_, [{"robot-id": 7} | dict.fromkeys(list(FULL)[1:])], NOW)
    assert set(row.values.values()) == {None}
    assert "'bolts', 'rusty' are missing" in refused(
        {key: value for key, value in FULL.items() if key not in ("bolts", "rusty")}
    )


@pytest.mark.parametrize("time", ["event_timestamp", "seen"])
def test_times_are_in_utc_and_at_most_a_minute_ahead(time: str) -> None:
    def event(text: str) -> int | None:
        return check(VIEW_, [FULL | {time: text}], NOW)[0].event

    assert event("1970-01-01T00:00:01") == event("1970-01-01T01:00:01+01:00") == 1_000_000
    assert event("1969-12-31T23:59:59.999999Z") == -1
    assert event("2026-11-29T20:01:00Z")
    assert "in the future" in refused(FULL | {time: "2026-11-29T20:01:01Z"})
    for wrong in ("yesterday", 5, True, "1600-01-01", "9999-12-31T23:59:59-12:00", [], ""):
        assert "is not a time" in refused(FULL | {time: wrong})


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        *(("robot-age", value) for value in ("4", True, float("inf"), 10**400, [], {})),
        *(("bolts", value) for value in (1.5, "7", 2**63, True)),
        *(("battery", value) for value in (9, False, ["low"])),
        *(("rusty", value) for value in (0, "false")),
        *(("built", value) for value in ("soon", 1_582_970_400, True)),
    ],
)
def test_a_value_of_another_type_is_refused(column: str, wrong: Any) -> None:
    assert refused(FULL, FULL | {column: wrong}).startswith(f"row 2: {column!r} is ")


@pytest.mark.parametrize("wrong", [None, True, "", " ", float("nan"), [7], {}])
def test_an_id_is_a_text_or_a_number(wrong: Any) -> None:
    assert "'robot-id' is not an id" in refused(FULL | {"robot-id": wrong})


def test_what_is_no_row_is_refused() -> None:
    assert "'robot-id' is missing" in refused({key: value for key, value in FULL.items() if key != "robot-id"})
    assert "no field 'wings'" in refused(FULL | {"wings": 2})
    assert "row 1 is not an object" in refused(7)
    assert '"rows" is a list' in refused()
    with pytest.raises(Problem, match="is a list"):
        check(VIEW_, "7", NOW)
    with pytest.raises(Problem, match="are too many"):
        check(VIEW_, [FULL] * (MOST_ROWS + 1), NOW)
    assert "has no entity" in refused(FULL, view=msgspec.structs.replace(VIEW_, entity=""))
