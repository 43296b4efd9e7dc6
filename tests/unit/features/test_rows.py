"""The rows of a dataset's views."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.features import rows
from pantheon.features.contract import canonical
from pantheon.features.views import readable, views
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Target
from pantheon.workflow.outputs import Feature, Input

LOADED = datetime(2026, 11, 29, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def spec(*columns: Column, split: Split | None = None) -> Spec:
    target = Column("condition", type="integer", role="target")
    found = (*columns, Column("rust-level", min=0, max=10, max_missing=0.1), target)
    return Spec("robots", "classification", Source(), Target("condition", classes=(0, 1)), found, split or Split())


ROBOT, TIME = Column("robot-id", type="integer", role="entity"), Column("observed-at", type="date", role="time")


def frame(**columns: pl.Series | list[object]) -> pl.DataFrame:
    given = pl.DataFrame(columns, strict=False)
    rust = pl.Series("rust-level", np.arange(given.height) / 2)
    return given.with_columns(rust, pl.lit(0, pl.Int32).alias("condition"))


def keyed(about: Spec, data: pl.DataFrame) -> pl.DataFrame:
    return rows.keys(rows.shape(about, data), data, LOADED)


def test_ids_are_the_same_as_those_of_requests() -> None:
    for values in ([7, 8], ["7", " 7.0 "], [7.0, 7.5], ["x", "007"], [1e16, 0.1], [date(2026, 1, 2)] * 2):
        data = frame(**{"robot-id": pl.Series(values), "observed-at": [date(2026, 1, 1)] * 2})
        found = keyed(spec(ROBOT, TIME), data)["robot_id"].to_list()
        assert found == [canonical(value.isoformat() if isinstance(value, date) else value) for value in values]


def test_rows_of_one_time_keep_their_order_a_microsecond_apart() -> None:
    day = date(2026, 1, 1)
    data = frame(**{"robot-id": [7, 8, 7, 7], "observed-at": [day, day, day, date(2025, 1, 1)]})
    found = keyed(spec(ROBOT, TIME), data)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    assert found["event_timestamp"].to_list() == [first, first, first + MICROSECOND, datetime(2025, 1, 1, tzinfo=UTC)]


def test_many_rows_of_one_millisecond_stay_before_the_next_one() -> None:
    one = datetime(2026, 1, 1)
    data = frame(
        **{
            "robot-id": [7] * 1503,
            "observed-at": pl.Series([one] * 1501 + [one + timedelta(milliseconds=1)] * 2, dtype=pl.Datetime("ms")),
        }
    )
    found = keyed(spec(ROBOT, TIME), data)["event_timestamp"]
    assert found.is_sorted()
    assert found.n_unique() == 1503


def test_rows_without_a_time_come_first_and_in_order() -> None:
    data = frame(**{"robot-id": [7, 7, 7, 8], "observed-at": [None, date(2026, 1, 1), None, None]})
    about = rows.shape(spec(ROBOT, TIME), data)
    found = rows.keys(about, data, LOADED)["event_timestamp"].to_list()
    assert found == [EPOCH, datetime(2026, 1, 1, tzinfo=UTC), EPOCH + MICROSECOND, EPOCH]
    assert "3 of 4 rows have no valid 'observed-at'" in about.line


def test_times_that_cannot_be_stored_count_as_missing() -> None:
    data = frame(**{"robot-id": [7, 7], "observed-at": [date(9999, 12, 31), date(1, 1, 1)]})
    assert rows.shape(spec(ROBOT, TIME), data).time == ""
    more = frame(**{"robot-id": [7, 7], "observed-at": [date(9999, 12, 31), date(2026, 1, 1)]})
    assert keyed(spec(ROBOT, TIME), more)["event_timestamp"].to_list()[0] == EPOCH


def test_without_a_time_the_time_of_loading_stands_in() -> None:
    data = frame(**{"robot-id": [7, 8]})
    about = rows.shape(spec(ROBOT), data)
    assert (about.entity, about.time, about.key) == ("robot-id", "", "robot_id")
    assert "the time of loading is used" in about.line
    assert rows.keys(about, data, LOADED)["event_timestamp"].to_list() == [LOADED, LOADED]


def test_several_rows_without_a_time_cannot_be_looked_up() -> None:
    data = frame(**{"robot-id": [7, 7, 8]})
    about = rows.shape(spec(ROBOT), data)
    assert (about.entity, about.key) == ("", "row")
    assert "'robot-id' has several rows for one value, such as '7'" in about.line


def test_without_an_entity_rows_are_found_by_their_content() -> None:
    data = frame(**{"observed-at": [date(2026, 1, 1)] * 3}).with_columns(
        pl.Series("rust-level", [0.5, 1.5, 0.5]),
    )
    about = rows.shape(spec(TIME), data)
    assert (about.key, about.entity, about.time) == ("row", "", "observed-at")
    assert "no entity column" in about.line
    found = rows.keys(about, data, LOADED)["row"]
    assert found.n_unique() == 3
    turned = rows.keys(about, data.reverse(), LOADED)["row"]
    assert sorted(found) == sorted(turned)
    assert "neither" in rows.shape(spec(), data.drop("observed-at")).line


def test_hashes_of_rows_never_change() -> None:
    data = pl.DataFrame({"a": [0.5, None, -0.0], "b": ["x", "x", None], "c": [date(2026, 1, 1), None, None]})
    about = rows.Shape("row", "", "", "")
    found = rows.keys(about, data, LOADED)["row"].to_list()
    assert found == ["r453a65aee278ed1f", "r32e81f61308d07b6", "r8e933b3864644006"]


def test_the_entity_of_the_split_is_the_entity() -> None:
    data = frame(**{"robot-id": ["a", "b"]})
    ignored = replace(ROBOT, role="ignore", type="category")
    assert rows.shape(spec(ignored, split=Split("hash", "robot-id")), data).entity == "robot-id"


def test_rows_without_an_id_are_read_by_their_content() -> None:
    data = frame(**{"robot-id": [7, None, None], "observed-at": [date(2026, 1, 1)] * 3})
    about = rows.shape(spec(ROBOT, TIME), data)
    found = rows.keys(about, data, LOADED)["robot_id"]
    assert found[0] == "7"
    assert found.n_unique() == 3
    assert "2 of 3 rows have no 'robot-id'" in about.line


def test_ids_that_are_spelled_differently_are_told() -> None:
    data = frame(**{"robot-id": ["7", "007"], "observed-at": [date(2026, 1, 1)] * 2})
    assert "some values of 'robot-id' are other spellings" in rows.shape(spec(ROBOT, TIME), data).line


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.one_of(st.none(), st.datetimes(datetime(1960, 1, 1), datetime(2030, 1, 1))),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_a_key_and_a_time_name_one_row(given: list[tuple[int, datetime | None]]) -> None:
    data = frame(
        **{
            "robot-id": [one for one, _ in given],
            "observed-at": pl.Series([time for _, time in given], dtype=pl.Datetime("ms")),
        }
    )
    about = rows.shape(spec(ROBOT, TIME), data)
    found = rows.keys(about, data, LOADED)
    assert found.select(about.key, "event_timestamp").n_unique() == len(given)


def test_raw_and_engineered_rows_have_the_fields_of_their_views() -> None:
    data = frame(**{"robot-id": [7, 8], "observed-at": [date(2026, 1, 1)] * 2})
    about = spec(ROBOT, TIME)
    found = rows.shape(about, data)
    tree = ["log1p", ["maximum", ["column", "rust-level"], ["number", 0.0]]]
    features: list[Feature] = [{"name": "log rust-level", "expression": tree, "of": ["rust-level"], "why": "long tail"}]
    raw, engineered = views(about, found, features, owner="ada")
    keys = rows.keys(found, data, LOADED)
    assert rows.raw(raw, keys, data).columns == ["robot_id", "event_timestamp", "created", "rust_level"]
    inputs: list[Input] = [{"name": "rust-level", "type": "number", "nullable": False}]
    X = np.array([[np.nan], [1.0]], np.float32)
    values = rows.engineered(engineered, keys, features, inputs, X)["log_rust_level"].to_list()
    assert values == [None, pytest.approx(np.log(2))]
    (field,) = engineered.fields
    assert (field.expression, field.of) == ('log1p(maximum("rust-level", 0))', ["rust-level"])
    assert (raw.fields[0].minimum, raw.fields[0].maximum, raw.fields[0].max_missing) == (0, 10, 0.1)
    assert engineered.name.startswith("robots_engineered_")
    other: list[Feature] = [{**features[0], "expression": ["neg", ["column", "rust-level"]]}]
    assert views(about, found, other)[1].name != engineered.name


def test_formulas_are_shown_with_the_names_of_categories() -> None:
    battery: list[Any] = ["column", "battery"]
    known = {"battery": ("low", "it's full")}
    shown = {
        "\"battery\" == 'low'": ["equal", battery, ["number", 0.0]],
        '"it\'s full" != "battery"': ["not_equal", ["number", 1.0], battery],
        '("age" > 1) * ("battery" == 7)': [
            "mul",
            ["greater", ["column", "age"], ["number", 1.0]],
            ["equal", battery, ["number", 7.0]],
        ],
        '"battery" + 1': ["add", battery, ["number", 1.0]],
    }
    assert {readable(tree, known): tree for tree in shown.values()} == shown


def test_the_only_date_is_the_time_if_it_differs_between_rows_of_an_entity() -> None:
    days = [date(2026, 1, n) for n in (1, 2, 3, 4)]
    when = Column("when", type="date")
    data = frame(**{"robot-id": [7, 7, 8, 8], "when": days})
    found = rows.shape(spec(ROBOT, when), data)
    assert (found.time, "'when', the only date" in found.line) == ("when", True)
    birthdays = data.with_columns(when=pl.Series([days[0], days[0], days[1], days[1]]))
    assert rows.shape(spec(ROBOT, when), birthdays).time == ""
    customers = data.with_columns(pl.Series("robot-id", [1, 2, 3, 4]))  # signed up once: not when they were observed
    assert rows.shape(spec(ROBOT, when), customers).time == ""
    two = data.with_columns(other=pl.Series(days))
    assert rows.shape(spec(ROBOT, when, Column("other", type="date")), two).time == ""
    assert rows.shape(spec(ROBOT, when, replace(TIME, name="other")), two).time == "other"


def test_a_column_that_may_be_the_entity_is_named() -> None:
    data = frame(**{"robot-id": [7, 8]})
    identifier = Column("customer", "category", "ignore", why="an identifier: 100% of its values are distinct")
    line = rows.shape(spec(identifier), data).line
    assert line.endswith("If 'customer' says what a row is about, give it role = \"entity\" in the spec")
    assert "role" not in rows.shape(spec(replace(identifier, why="free text")), data).line
