"""What was known about an entity at a time."""

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.features import history
from pantheon.features.contract import Field, Known, View
from pantheon.features.look import At
from tests.support.features import ENGINEERED, ROBOTS, START, look, rows, sample, write

VIEW = View(name="v", set="v", kind="raw", key="k", entity="k", fields=[Field(name="x", column="x", type="number")])
DAYS = st.integers(0, 6)
ROW = st.fixed_dictionaries({"id": st.integers(0, 2), "at": DAYS, "late": DAYS, "x": st.none() | st.floats(0, 9)})


def known(folder: Path, days: float, *ids: Any, view: View = VIEW) -> list[Known]:
    paths = sorted((folder / view.name).glob("*.parquet"))
    return history.at(view, paths, ids, START + timedelta(days=days))


@given(given=st.lists(ROW, max_size=20), day=st.integers(0, 12), ttl=st.integers(0, 4))
def test_the_newest_row_that_was_known_counts(
    tmp_path_factory: pytest.TempPathFactory, given: Sequence[dict[str, Any]], day: int, ttl: int
) -> None:
    """Against a loop over all rows, in which a later row of the same times replaces an earlier one."""
    folder = tmp_path_factory.mktemp("parts")
    values = [{**each, "created": each["at"] + each["late"]} for each in given]
    view = View(**{**{name: getattr(VIEW, name) for name in VIEW.__struct_fields__}, "ttl_seconds": 86400.0 * ttl})
    for number, part in enumerate((values[::2], values[1::2])):
        if part:
            write(folder, view, rows(view, part), number)
    for id in range(3):
        best: dict[str, Any] | None = None
        for each in [*values[::2], *values[1::2]]:
            known_then = each["id"] == id and max(each["at"], each["created"]) <= day
            if known_then and (best is None or (each["at"], each["created"]) >= (best["at"], best["created"])):
                best = each
        (found,) = known(folder, day, id, view=view)
        if best is None:
            assert (found.state, found.time, found.features) == ("unknown", None, {})
        else:
            assert found.state == ("expired" if ttl and day - best["at"] > ttl else "known")
            assert found.features == {"x": best["x"]}


def test_ids_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    write(tmp_path, VIEW, rows(VIEW, [{"id": 7, "at": 0, "x": 1.5}]))
    assert [each.features for each in known(tmp_path, 0, 7, "7", 7.0, " 7 ", "07")] == [{"x": 1.5}] * 5
    with pytest.raises(ValueError, match="not empty"):
        known(tmp_path, 0, "")


def test_null_expired_and_unknown_are_three_answers(tmp_path: Path) -> None:
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": 1, "at": 0, "robot_age": math.nan, "inspected": START}]))
    (null,) = known(tmp_path, 30, 1, view=ROBOTS)
    assert null.state == "known"
    assert (null.features["robot_age"], null.features["battery"]) == (None, None)
    assert null.features["inspected"] == START.isoformat()
    (expired,) = known(tmp_path, 30.001, 1, view=ROBOTS)
    assert (expired.state, expired.time) == ("expired", START.isoformat())
    assert [each.state for each in known(tmp_path, -0.001, 1, 2, view=ROBOTS)] == ["unknown", "unknown"]


def test_all_views_with_an_entity_are_asked(tmp_path: Path) -> None:
    sample(tmp_path)
    asked = look(tmp_path)
    found = asked.at(At([7, "8"], "2026-03-05"))["rows"]
    assert [(row.view, row.entity) for row in found] == [
        ("robots", "7"),
        ("robots", "8"),
        (ENGINEERED.name, "7"),
        (ENGINEERED.name, "8"),
    ]
    assert [row.entity for row in asked.at(At([7], "2026-03-05", "robots"))["rows"]] == ["7"]


@pytest.mark.parametrize(
    ("entities", "time", "why"),
    [
        ([7], "soon", "'soon' is not a time"),
        ([7], "0001-01-01T00:00:00+14:00", "is not a time"),
        ([], "2026-03-05", "name 1 to 1,000 entities"),
        ([None], "2026-03-05", "an id is a text or a number"),
        ([{"id": 7}], "2026-03-05", "an id is a text or a number"),
    ],
)
def test_questions_that_mean_nothing_are_refused(tmp_path: Path, entities: list[Any], time: str, why: str) -> None:
    with pytest.raises(PantheonError, match=why):
        look(tmp_path).at(At(entities, time))


def test_rows_that_a_view_lacks_are_found_with_their_corrections(tmp_path: Path) -> None:
    sample(tmp_path)  # the engineered view has the first 200 rows
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": 7, "at": 0, "created": 30, "rust_level": 5}]), 30)
    asked = look(tmp_path)
    missing = asked.rows("robots", ENGINEERED.name, "")
    assert missing.height == 201
    assert missing["robot_id"][-1] == "7", "what was corrected later comes last"
    assert asked.rows("robots", ENGINEERED.name, "2026-03-11T00:00:01Z").height == 0
    assert asked.rows("robots", "robots", "").height == 0
    with pytest.raises(PantheonError, match="not computed from"):
        asked.rows("visits", ENGINEERED.name, "")
