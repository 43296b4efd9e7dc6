"""Rows are forgotten: those of an entity, or those with a value; everything else stays as it was."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.features import quality
from pantheon.features.contract import EVENT, View
from pantheon.features.forgetting import Removed, remove
from tests.support.features import ENGINEERED, ROBOTS, START, VIEWS, VISITS, Parts, rows, sample, write


def forget(folder: Path, column: str, value: Any, views: Sequence[View] = VIEWS) -> Removed:
    return remove(views, Parts(folder), nullcontext, column, value)


def everything(folder: Path, view: View) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((folder / view.name).glob("*.parquet"))])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.mark.parametrize(("column", "value"), [("robot-id", "7"), ("robot_id", 7), ("robot-id", " 7.0 ")])
def test_an_entity_is_gone_from_all_views_and_nothing_else(tmp_path: Path, column: str, value: Any) -> None:
    sample(tmp_path)
    before = {view.name: everything(tmp_path, view) for view in VIEWS}
    visits = (tmp_path / "visits").glob("*")
    untouched = {path: path.read_bytes() for path in visits}
    done = forget(tmp_path, column, value)
    assert (done.rows, done.parts, done.keys) == (3, 3, {"robot_id": {"7"}})
    for view in (ROBOTS, ENGINEERED):
        kept = before[view.name].filter(pl.col("robot_id") != "7")
        assert everything(tmp_path, view).equals(kept), "the other rows are as they were, in their order"
    assert {path: path.read_bytes() for path in untouched} == untouched
    again = forget(tmp_path, column, value)
    assert (again.rows, again.parts, again.keys) == (0, 0, {"robot_id": {"7"}}), "its online row is removed again"


def test_a_part_without_such_rows_stays_the_same_file(tmp_path: Path) -> None:
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": 7, "at": 0}]), 0)
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": 8, "at": 0}]), 1)
    before = contents(tmp_path)
    done = forget(tmp_path, "robot-id", "7")
    after = contents(tmp_path)
    assert (done.rows, len(before), len(after)) == (1, 2, 1), "a part without any row is removed"
    assert after.items() <= before.items()


def test_a_value_takes_the_rows_that_were_computed_from_it_along(tmp_path: Path) -> None:
    values = [{"id": 1, "at": 0, "battery": "low"}, {"id": 1, "at": 1, "battery": "full"}, {"id": 2, "at": 0}]
    write(tmp_path, ROBOTS, rows(ROBOTS, values))
    write(tmp_path, ENGINEERED, rows(ENGINEERED, [{**each, "rust_per_year": 0.5} for each in values]))
    done = forget(tmp_path, "battery", "low")
    assert (done.rows, done.parts, done.keys) == (2, 2, {"robot_id": {"1"}})
    for view in (ROBOTS, ENGINEERED):
        left = everything(tmp_path, view).select("robot_id", EVENT).rows()
        assert left == [("1", START + timedelta(days=1)), ("2", START)]


@pytest.mark.parametrize(
    ("column", "value", "gone"),
    [
        ("robot-age", "5", 1),
        ("robot_age", 5.0, 1),
        ("rust-level", "3", 1),
        ("painted", "true", 1),
        ("painted", True, 1),
        ("inspected", "2026-03-01", 1),
        ("inspected", "2026-03-01T01:00:00+01:00", 1),
        ("rust-level", "3.5", 0),
        ("robot-age", "old", 0),
        ("painted", "yes", 0),
        ("inspected", "then", 0),
        ("battery", "LOW", 0),
        ("robot-id", "", 0),
        ("no such column", "1", 0),
    ],
)
def test_values_are_compared_by_their_type(tmp_path: Path, column: str, value: Any, gone: int) -> None:
    one = {"id": 1, "at": 0, "robot_age": 5.0, "rust_level": 3, "painted": True, "inspected": START, "battery": "low"}
    write(tmp_path, ROBOTS, rows(ROBOTS, [one, {"id": 2, "at": 0}]))
    before = contents(tmp_path)
    assert forget(tmp_path, column, value).rows == gone
    assert (contents(tmp_path) == before) is (gone == 0)


def test_rows_without_an_entity_are_forgotten_by_a_value(tmp_path: Path) -> None:
    sample(tmp_path)
    done = forget(tmp_path, "minutes", "3")
    assert (done.rows, done.keys) == (1, {})
    assert everything(tmp_path, VISITS).height == 8


def test_checks_of_a_part_stay_without_the_values_that_they_saw(tmp_path: Path) -> None:
    sample(tmp_path)
    forget(tmp_path, "robot-id", "0")  # the one that was too old
    checks = quality.kept(max((tmp_path / "robots").glob("*.parquet"))).checks
    assert checks and [(each.check, each.ok, each.value) for each in checks][1] == ("maximum", False, None)
