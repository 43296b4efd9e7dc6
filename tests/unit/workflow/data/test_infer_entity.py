"""Columns that name what a row is about are found by their values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.run import Run
from tests.support.data import parts

RANDOM = np.random.default_rng(0)
PATIENT = RANDOM.permutation(np.repeat(np.arange(120), 10))
ILL = RANDOM.integers(0, 2, 120)
NOISE = {"m1": RANDOM.normal(size=1200).round(3), "m2": RANDOM.normal(size=1200).round(3)}


@pytest.fixture
def inferred(write: Callable[..., Path]) -> Callable[..., Any]:
    return lambda **columns: infer_spec(write(pl.DataFrame(columns).write_csv()), "ill")


def test_patients_with_one_label_each_stay_together(through: Callable[..., Run], write: Callable[..., Path]) -> None:
    table = pl.DataFrame({"patient": [f"Pat-{n:03}" for n in PATIENT], **NOISE, "ill": ILL[PATIENT]})
    file = write(table.write_csv())
    spec = infer_spec(file, "ill")
    assert (spec.column("patient").role, spec.split.column) == ("entity", "patient")
    assert spec.column("patient").why.startswith("each of its values has 10.0 rows on average, with the same 'ill'")
    train, test = parts(through(file, "ill"))
    assert test.height > 150
    assert not set(train["patient"]) & set(test["patient"])


def test_numbers_may_be_names_too(inferred: Callable[..., Any]) -> None:
    spec = inferred(patient=1000 + PATIENT * 7, **NOISE, ill=ILL[PATIENT])
    assert spec.split.column == "patient"
    spec = inferred(patient=1000 + PATIENT * 7, **NOISE, ill=RANDOM.normal(size=120).round(4)[PATIENT])
    assert (spec.task, spec.split.column) == ("regression", "patient")


def test_a_quantity_that_decides_the_target_is_an_input(inferred: Callable[..., Any]) -> None:
    assert inferred(age=PATIENT, **NOISE, ill=(PATIENT > 60).astype(int)).column("age").role == "feature"
    assert inferred(age=PATIENT, **NOISE, ill=PATIENT * 1.5).column("age").role == "feature"


def test_a_value_of_most_rows_is_not_an_entity(inferred: Callable[..., Any]) -> None:
    week = np.where(PATIENT < 90, 120, PATIENT)  # of an event; 120 is the last week, without one
    assert inferred(week=week, **NOISE, ill=(week < 120).astype(int)).column("week").role == "feature"


def test_a_category_that_only_helps_is_an_input(inferred: Callable[..., Any]) -> None:
    town = [f"town {n}" for n in PATIENT % 30]
    ill = np.where(RANDOM.random(1200) < 0.2, RANDOM.integers(0, 2, 1200), ILL[PATIENT % 30])
    assert inferred(town=town, **NOISE, ill=ill).column("town").role == "feature"


def test_a_rare_class_says_nothing_about_names(inferred: Callable[..., Any]) -> None:
    assert (
        inferred(shop=[f"shop {n}" for n in PATIENT], **NOISE, ill=[int(n < 10) for n in range(1200)]).split.column
        == ""
    )


def test_rows_that_are_in_the_file_several_times_make_no_names(inferred: Callable[..., Any]) -> None:
    rows = {
        "a": RANDOM.integers(0, 10**6, 200),
        "b": RANDOM.normal(size=200).round(3),
        "ill": RANDOM.integers(0, 2, 200),
    }
    assert inferred(**{name: np.tile(values, 6) for name, values in rows.items()}).split.column == ""
