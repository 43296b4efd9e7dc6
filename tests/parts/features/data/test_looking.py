"""Questions about stored features: what was known is what Feast's own point-in-time join says, and the catalogue."""

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from pantheon.features.client import Refused
from pantheon.features.contract import Field, View
from tests.parts.features.data.test_point_in_time import (
    KINDS,
    SERVICE,
    SHORT,
    SOME,
    VIEW,
    Load,
    asked,
    at,
    frame_of,
    load,
    loads,
    parquet,
    read,
)
from tests.support.feature_data import Data

COMPUTED = View(
    name="robots_engineered_0a1b2c3d",
    set="robots",
    kind="engineered",
    key="robot_id",
    entity="robot-id",
    time="seen",
    fields=[Field(name="twice", column="twice", type="number", expression='"x" * 2', of=["x"], maximum=3.0)],
)


@pytest.fixture(scope="module")
def store(data: Data) -> Iterator[Data]:
    data.client.apply([VIEW, SHORT, COMPUTED])
    data.client.choose(SERVICE)
    yield data


@SOME
@given(loads, asked)
def test_what_was_known_is_what_feast_says(store: Data, found: list[Load], questions: list[tuple[str, int]]) -> None:
    load(store, found)
    by_feast = read(store, questions, 10**9).rows(named=True)
    for (entity, second), row in zip(questions, by_feast, strict=True):
        views = {known.view: known for known in store.client.at([entity], at(second).isoformat())}
        assert set(views) == {"robots", "short", COMPUTED.name}
        for view in (VIEW, SHORT):
            known = views[view.name]
            values = {name: row[f"{view.name}:{name}"] for name in (field.name for field in view.fields)}
            if known.state == "known":
                dates = {name: value for name, value in known.features.items() if KINDS[name] == "date" and value}
                assert known.features | {name: datetime.fromisoformat(value) for name, value in dates.items()} == values
            else:
                assert set(values.values()) == {None}
                assert (known.time is None) is (known.state == "unknown")


def test_the_catalogue_says_what_a_part_was_written_with(store: Data) -> None:
    for view in (VIEW, COMPUTED):
        store.do("reset", view=view.name)
    values: dict[str, Any] = {"x": 1.5, "n": 1, "t": "a", "b": True, "d": at(0)}
    store.client.write("robots", parquet(frame_of([("7", 1, values), ("8", 2, values)], list(KINDS))), "run-1")
    rows = frame_of([("7", 1, values)], []).with_columns(twice=pl.lit(4.5))
    store.client.write(COMPUTED.name, parquet(rows), "run-1")
    views = {view["name"]: view for view in store.client.catalogue()}
    assert (views["robots"]["rows"], views["robots"]["entities"]) == (2, 2)
    assert views["robots"]["services"][0]["features"] == list(KINDS)
    (failed,) = views[COMPUTED.name]["failed"]
    assert (failed["field"], failed["check"], failed["value"], failed["expected"]) == ("twice", "maximum", 4.5, 3.0)
    described = store.client.described(COMPUTED.name)
    assert described["lineage"]["of"] == ["robots"]
    assert described["parts"][0]["run"] == "run-1" and described["parts"][0]["failed"] == 1


def test_rows_that_a_view_lacks_are_sent(store: Data) -> None:
    for view in (VIEW, COMPUTED):
        store.do("reset", view=view.name)
    values: dict[str, Any] = {"x": 1.5, "n": 1, "t": "a", "b": True, "d": at(0)}
    store.client.write("robots", parquet(frame_of([("7", 1, values), ("8", 2, values)], list(KINDS))))
    missing = pl.read_parquet(BytesIO(store.client.missing("robots", COMPUTED.name)))
    assert missing["robot_id"].sort().to_list() == ["7", "8"]
    since = store.client.missing("robots", COMPUTED.name, at(2).isoformat())
    assert pl.read_parquet(BytesIO(since))["robot_id"].to_list() == ["8"]


@pytest.mark.parametrize(
    ("view", "time", "code"),
    [("nothing", "2026-03-01", 404), ("robots", "soon", 400), ("", "2026-03-01T00:00:00+99:00", 400)],
)
def test_questions_that_mean_nothing_are_refused(store: Data, view: str, time: str, code: int) -> None:
    with pytest.raises(Refused) as error:
        store.client.at([7], time, view)
    assert error.value.code == code
    with pytest.raises(Refused, match="no feature view"):
        store.client.described("nothing/else")
