"""The monitor reads logged rows as the endpoint read them: the values are those that the model got."""

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.monitoring.inputs import Inputs, names_along
from serving.model.signature import Signature
from tests.support.bundles import AS_FILE, EVERY_TYPE, TEXT, signature

EVERY = signature(EVERY_TYPE)
FILE = signature(AS_FILE) | {"text": TEXT}
DAYS = ["2024-03-01", "1999-12-31", "2024-02-29T06:30", "2024-02-29T06:30:15"]
VALUES: dict[str, Any] = {
    "size": st.floats(-1e6, 1e6) | st.integers(-9, 9) | st.sampled_from(["1.5", "-3e2"]),
    "count": st.integers(-5, 1000) | st.sampled_from(["7", 12.0]),
    "charging": st.booleans() | st.sampled_from([0, 1, "yes", "No", "TRUE", "off"]),
    "spare": st.none() | st.booleans(),
    "class": st.sampled_from(["1", 2, "x y"]),
    "town": st.none() | st.sampled_from(["Argos", "Thebes", "Troy"]),
    "built": st.none() | st.sampled_from(DAYS),
    "seen-on": st.sampled_from(DAYS[:1] + DAYS[2:]),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5)


def decoded(described: dict[str, Any], rows: list[Any]) -> pl.DataFrame:
    return Inputs(described).decode(pl.DataFrame({"input": [json.dumps(row) for row in rows]}))


def as_the_model_gets_them(described: dict[str, Any], table: pl.DataFrame) -> np.ndarray:
    """The columns as numbers: categories and booleans by their place."""
    columns = []
    for entry in described["inputs"]:
        column = table[f"in:{entry['name']}"]
        if column.dtype == pl.String:
            names = ["false", "true"] if entry["type"] == "boolean" else entry["categories"]
            column = column.replace_strict(names, list(range(len(names))), default=None, return_dtype=pl.Float64)
        columns.append(column.fill_null(math.nan).to_numpy())
    return np.stack(columns, axis=1).astype(np.float32)


@given(ROWS)
def test_values_are_those_that_the_model_got(rows: list[dict[str, Any]]) -> None:
    found = as_the_model_gets_them(EVERY, decoded(EVERY, rows))
    np.testing.assert_allclose(found, Signature(EVERY).encode(rows), rtol=1e-6)


@pytest.mark.parametrize(
    "row",
    [
        {"price": "1.234,5 €", "rooms": 3, "paid": "Ja", "born": "31.12.1999", "town": 3},
        {"price": 12.5, "rooms": "4", "paid": False, "born": "1999-12-31", "town": " bern"},
        {"price": "k. A.", "rooms": 5, "paid": "nein", "born": None, "town": "Genf"},
        {"price": "0,5", "rooms": 5, "paid": True, "born": "na", "town": "3"},
    ],
)
def test_texts_are_read_as_in_the_file_of_the_training(row: dict[str, Any]) -> None:
    found = as_the_model_gets_them(FILE, decoded(FILE, [row]))
    np.testing.assert_allclose(found, Signature(FILE).encode([row]), rtol=1e-6)


def test_unknown_categories_and_what_is_sent_along() -> None:
    rows = [
        {"town": "Troy", "context": {"region": "north", "vip": True}},
        {"town": None, "context": {"region": None}},
        {"town": "Argos"},
    ]
    table = decoded(EVERY, rows)
    assert table["new:town"].to_list() == ["Troy", None, None]
    assert table["in:town"].to_list() == [None, None, "Argos"]
    assert table["along:region"].to_list() == ["north", None, None]
    assert table["along:vip"].to_list() == ["true", None, None]


def test_rows_that_are_unusual_are_read_too() -> None:
    """Such as those of a log that another program has written: nothing stops the monitor."""
    rows = [{"size": 1.5, "town": ["Troy"]}, {"size": {"x": 1}, "town": "Argos"}, {"size": "much"}]
    table = decoded(EVERY, rows)
    assert table["in:size"].to_list() == [1.5, None, None]
    assert table["in:town"].to_list()[1:] == ["Argos", None]
    assert names_along(
        pl.Series(['{"context": 1}', "[]", '{"a": "context"}', '{"context": {"b": 1}}', '{"context'])
    ) == ["b"]


def test_where_values_came_from_is_not_one_of_them() -> None:
    row = {"size": 1.5, "count": 1, "charging": True, "class": "1", "seen-on": "2024-03-01"}
    origin = {"entity": {"robot-id": "7"}, "views": {"robots": {"time": "2026-03-01T12:00:00Z", "inputs": ["size"]}}}
    plain, other = decoded(EVERY, [row]), decoded(EVERY, [row | {"_features": origin}])
    assert other.equals(plain)
    along = decoded(EVERY, [row | {"_features": origin, "context": {"region": "north"}}])
    assert along.columns == [*plain.columns, "along:region"]
