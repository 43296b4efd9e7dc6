"""The catalogue of features: what is shown about views, their parts and their checks."""

import math
from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from pantheon.errors import PantheonError
from pantheon.features import quality
from pantheon.features.api import Problem
from pantheon.features.contract import Check, Field, View
from pantheon.features.distributions import BINS, TOP, distribution
from pantheon.features.look import At
from tests.support.features import ENGINEERED, ROBOTS, RUN, VISITS, look, rows, sample, write


def test_a_part_keeps_its_checks_and_files_of_others_have_none(tmp_path: Path) -> None:
    frame = rows(ROBOTS, [{"id": 1, "at": 0, "robot_age": 21.0}])
    checks = [Check(field="robot_age", check="maximum", ok=False, value=21.0, expected=20)]
    kept = quality.kept(write(tmp_path, ROBOTS, frame, 1, checks))
    assert kept == quality.Kept("2026-03-02T00:00:00+00:00", RUN, tuple(checks))
    assert quality.kept(write(tmp_path, ROBOTS, frame, 2)).checks is None
    frame.write_parquet(tmp_path / "theirs.parquet", metadata={quality.CHECKS: "no JSON"})
    assert quality.kept(tmp_path / "theirs.parquet") == quality.Kept("", "", None)


def test_the_catalogue_lists_views_and_what_failed(tmp_path: Path) -> None:
    sample(tmp_path)
    robots, engineered, visits = look(tmp_path).catalogue()["views"]
    assert (robots["name"], robots["rows"], robots["entities"], robots["parts_count"]) == ("robots", 400, 200, 2)
    assert (robots["owner"], robots["entity"], robots["columns"][0]) == ("anna", "robot-id", "robot-age")
    assert robots["newest"] == "2026-03-11T00:00:00+00:00"
    assert robots["fresh"] is False, "it is older than a week by now"
    assert {(each["field"], each["check"]) for each in robots["failed"]} == {
        ("robot_age", "maximum"),
        ("battery", "max_missing"),
    }
    assert robots["example"]["time"] == robots["newest"]
    assert robots["services"][0]["features"] == ["robot_age", "battery"]
    assert (engineered["failed"], engineered["services"][0]["features"]) == ([], ["rust_per_year"])
    assert (visits["entity"], visits["entities"], visits["example"], visits["services"]) == ("", None, None, [])


def test_a_view_is_described_with_its_distributions_and_lineage(tmp_path: Path) -> None:
    sample(tmp_path)
    asked = look(tmp_path)
    found = asked.view("robots")
    fields = {field["name"]: field for field in found["fields"]}
    assert fields["battery"]["missing"] == 0.01
    assert [each["check"] for each in fields["robot_age"]["checks"]] == ["minimum", "maximum"]
    assert {each["value"] for each in fields["battery"]["distribution"]["top"]} == {"low", "full", "half"}
    assert sum(each["rows"] for each in fields["inspected"]["distribution"]["bins"]) == 400
    assert found["lineage"] == {"of": [], "feeds": [ENGINEERED.name]}
    assert asked.view(ENGINEERED.name)["lineage"] == {"of": ["robots"], "feeds": []}
    assert [(each["name"], each["rows"], each["failed"]) for each in found["parts"]] == [
        ("20260311T000000000000Z-00000000000000c8.parquet", 200, 2),
        ("20260301T000000000000Z-00000000000000c8.parquet", 200, 3),  # it was old when it was written, too
    ]
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": "new", "at": 20, "battery": "full", "rust_level": 1}]), 20)
    again = asked.view("robots")
    assert (again["rows"], again["example"]["entity"], again["failed"]) == (401, "new", [])


def test_views_without_parts_and_fields_that_came_later(tmp_path: Path) -> None:
    empty = look(tmp_path).view("robots")
    assert (empty["rows"], empty["newest"], empty["example"], empty["failed"], empty["parts"]) == (
        0,
        None,
        None,
        [],
        [],
    )
    assert {field["distribution"] for field in empty["fields"]} == {None}
    old = View(name="robots", set="robots", kind="raw", key="robot_id", fields=ROBOTS.fields[:1])
    write(tmp_path, old, rows(old, [{"id": 1, "at": 0, "robot_age": 4.0}]))
    write(tmp_path, ROBOTS, rows(ROBOTS, [{"id": 2, "at": 0, "battery": "low"}]), 1)
    fields = {field["name"]: field for field in look(tmp_path).view("robots")["fields"]}
    assert fields["battery"]["missing"] == 0.5
    assert fields["battery"]["distribution"]["top"] == [{"value": "low", "rows": 1}]


def test_a_field_that_is_added_is_described_without_new_parts(tmp_path: Path) -> None:
    views = [VISITS]
    sample(tmp_path)
    asked = look(tmp_path, views)
    asked.view("visits")
    more = Field(name="mood", column="mood", type="text")
    views[0] = structs.replace(VISITS, fields=[*VISITS.fields, more])
    described = asked.view("visits")["fields"][1]
    assert (described["name"], described["missing"], described["distribution"]) == ("mood", 1.0, None)


def test_distributions_are_small_and_count_every_value() -> None:
    numbers = pl.Series([float(n) for n in range(1000)] + [1e9, math.nan, None, math.inf])
    found = distribution(numbers, "number")
    assert found and len(found["bins"]) == BINS
    assert sum(each["rows"] for each in found["bins"]) == 1001
    assert (found["bins"][0]["from"], found["bins"][-1]["to"]) == (0.0, 1e9)
    assert max(each["rows"] for each in found["bins"]) < 100, "one far value does not squeeze the others"
    few = distribution(pl.Series([1, 1, 2, 9]), "integer")
    assert few and [(each["from"], each["rows"]) for each in few["bins"]] == [(1.0, 2), (2.0, 1), (9.0, 1)]
    same = distribution(pl.Series([0.5, 0.5]), "number")
    assert same and same["bins"] == [{"from": 0.5, "to": 0.5, "rows": 2}]
    words = distribution(pl.Series([f"w{n % 50}" for n in range(100)] + ["x" * 500] * 9), "text")
    assert words and (len(words["top"]), words["others"]) == (TOP, 100 - 2 * (TOP - 1))
    assert len(words["top"][0]["value"]) == 61
    for nothing in (pl.Series([None], dtype=pl.Float64), pl.Series([math.nan]), pl.Series([], dtype=pl.String)):
        assert distribution(nothing, "number" if nothing.dtype.is_float() else "text") is None


def test_a_view_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"no feature view 'robotz'.*robots_engineered_0a1b2c3d"):
        look(tmp_path).view("robotz")
    with pytest.raises(PantheonError, match="has no entity"):
        look(tmp_path).at(At([7], "2026-03-01", "visits"))
