"""Which truth follows from what users said, and which rows can be trained on."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from pantheon.monitoring.feedback import COLUMNS, Labelled, as_classes, labelled
from pantheon.predictions.ids import new_id
from pantheon.workflow.data.spec import Column, Spec, Target
from tests.support.training import toy_frame, toy_spec

SPEC = toy_spec()
GIVEN: dict[str, Any] = {
    "age": 12.5, "starts": 30, "indoors": True, "battery": "low", "town": "town 3", "built": "2019-05-01",
    "serviced": None,
}  # fmt: skip


def rows(*changes: dict[str, Any], spec: Spec = SPEC) -> Labelled:
    """What is made of rows of the log: a prediction True that a user called right, with these changes."""
    lines = []
    for each in changes:
        given = GIVEN | each.pop("given", {})
        line = {"id": new_id(), "row": 0, "at": datetime(2026, 3, 1, 12, tzinfo=UTC), "status": 200, "correct": True}
        line |= {"input": json.dumps(given), "prediction": "true", "true_value": None, "said_at": None}
        lines.append(line | each)
    moment = pl.Datetime("us", "UTC")
    log = pl.DataFrame(lines, schema_overrides={"at": moment, "said_at": moment, "correct": pl.Boolean}).select(COLUMNS)
    return labelled(log, spec, dict(toy_frame(10).schema))


def test_a_row_has_the_types_of_clean_data_and_each_request_is_an_entity_of_its_own() -> None:
    found = rows({}, {})
    assert found.rows.columns == [column.name for column in SPEC.columns]
    assert found.rows.drop("broken").schema == toy_frame(10).drop("broken").schema
    assert found.rows["built"].to_list() == [datetime(2019, 5, 1).date()] * 2
    assert found.rows["machine"].n_unique() == 2
    assert (found.rows["machine"] < 0).all()
    assert found.rows["broken"].to_list() == [True, True]


def test_an_entity_that_was_sent_is_kept() -> None:
    assert rows({"given": {"machine": 7}}).rows["machine"].to_list() == [7]
    assert rows({"given": {"context": {"machine": 8, "shop": "north"}}}).rows["machine"].to_list() == [8]


def test_an_entity_whose_features_were_looked_up_is_kept() -> None:
    origin = {"entity": {"machine": "9"}, "views": {"machines": {"time": "2026-03-01T12:00:00Z", "inputs": ["built"]}}}
    found = rows({"given": {"_features": origin, "built": "2019-05-01T00:00:00"}}).rows
    assert found["machine"].to_list() == [9]
    assert found["built"].to_list() == [datetime(2019, 5, 1).date()], "dates from the store have a time"


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        ({"correct": True}, True),
        ({"correct": False}, False),
        ({"correct": False, "true_value": "true"}, True),
        ({"correct": None, "true_value": "false"}, False),
        ({"correct": None, "true_value": '"Broken"'}, True),
    ],
)
def test_the_truth_is_what_was_said_or_follows_from_it(said: dict[str, Any], truth: bool) -> None:
    assert rows(said).rows["broken"].to_list() == [truth]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"true_value": '"maybe"'}, "the true value is not one of the model's classes"),
        ({"true_value": "1"}, "the true value is not one of the model's classes"),
        ({"prediction": '"?"'}, "the prediction is not one of the model's classes"),
        ({"status": 422}, "the request was not answered row by row"),
        ({"input": "[1, 2]"}, "the request was not answered row by row"),
        ({"given": {"starts": None}}, "a value is missing, or is not one that the data may have"),
        ({"given": {"starts": "many"}}, "a value is missing, or is not one that the data may have"),
    ],
)
def test_what_cannot_be_used_is_counted_with_the_reason(said: dict[str, Any], why: str) -> None:
    found = rows(said, {})
    assert found.rows.height == len(found.keys) == 1
    assert found.left_out == {why: 1}


def test_of_several_classes_wrong_says_nothing() -> None:
    spec = replace(SPEC, target=Target("broken", ("no", "a bit", "yes")))
    found = rows({"correct": False, "prediction": '"no"'}, {"prediction": '"no"'}, {"true_value": '"yes"'}, spec=spec)
    assert found.rows["broken"].to_list() == ["no", "yes"]
    assert found.left_out == {"the prediction was wrong, and no true value was said": 1}


def test_a_number_needs_a_true_value() -> None:
    columns = tuple(Column("broken", "number", "target") if c.role == "target" else c for c in SPEC.columns)
    spec = replace(SPEC, task="regression", target=Target("broken"), columns=columns)
    found = rows({"prediction": "3.5"}, {"prediction": "3.5", "true_value": "4"}, spec=spec)
    assert found.rows["broken"].to_list() == [4.0]
    assert found.left_out == {"no true value was said": 1}


def test_positions_become_classes_again() -> None:
    target = pl.Series("broken", [0, 1, 1], dtype=pl.Int32)
    assert as_classes(target, SPEC).to_list() == [False, True, True]
    assert as_classes(target, replace(SPEC, target=Target("broken", (5, 7)))).to_list() == [5, 7, 7]
