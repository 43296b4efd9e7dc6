"""Permutation importance predicts only what a shuffled input changes; the figures are those of whole predictions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pantheon.workflow.outputs import Importance, Input
from pantheon.workflow.training import shuffling
from pantheon.workflow.training.candidates import BUILT_IN, LONG_TAILED, Candidate, Fitted, Prepared, fit
from pantheon.workflow.training.importance import Job, Shuffler, WholeRows, permutation_importance
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.preparation import Design
from pantheon.workflow.training.shuffling import Columns, Trees, WideLinear, columns_shuffler

CATEGORIES = [f"c{n}" for n in range(20)]
INPUTS: tuple[Input, ...] = (
    {"name": "age", "type": "number", "nullable": True},
    {"name": "size", "type": "category", "nullable": True, "categories": ["s", "m", "l"]},
    {"name": "dropped", "type": "number", "nullable": False},
    {"name": "city", "type": "category", "nullable": True, "categories": CATEGORIES},
    {"name": "height", "type": "integer", "nullable": False},
    {"name": "noise", "type": "boolean", "nullable": False},
)
FEATURES = (
    ("age / height", ["div", ["column", "age"], ["column", "height"]]),
    ("log dropped", ["log1p", ["maximum", ["column", "dropped"], ["number", 0.0]]]),
)
METRICS = {"classification": ("roc_auc", True), "regression": ("rmse", False)}


def table(task: str, rows: int = 300) -> Table:
    random = np.random.default_rng(3)
    size, city = random.integers(0, 3, rows), random.integers(0, 20, rows)
    age, height = random.integers(0, 90, rows).astype(float), random.integers(140, 200, rows)
    X = np.column_stack([age, size, random.exponential(1, rows), city, height, random.integers(0, 2, rows)])
    signal = age / 30 + size + city / 10 + X[:, 2] + random.normal(0, 1, rows)
    for column in (0, 1, 3):
        X[random.random(rows) < 0.1, column] = np.nan
    y = np.digitize(signal, np.quantile(signal, [0.4, 0.8])) if task == "classification" else np.exp(signal)
    return Table(X.astype(np.float32), y)


def design(task: str) -> Design:
    columns = tuple(entry["name"] for entry in INPUTS if entry["name"] != "dropped")
    return Design(INPUTS, columns, FEATURES, task, 3 if task == "classification" else 0)  # type: ignore[arg-type]


def small(candidate: Candidate) -> dict[str, Any]:
    return {"max_depth": 4} if candidate.name == "random_forest" else {}


def fitted(candidate: Candidate, task: str) -> tuple[Fitted, Table]:
    rows = table(task)
    return fit(candidate, small(candidate), Prepared.fit(design(task), rows, 0), 0), rows.take(np.arange(0, 300, 2))


def importance(shuffler: Shuffler, task: str, rows: Table) -> list[Importance]:
    metric, greater = METRICS[task]
    return permutation_importance(shuffler, design(task), rows, metric, greater, 1, 7)


ALL = [
    *((task, candidate) for task, families in BUILT_IN.items() for candidate in families),
    *(("regression", candidate) for candidate in LONG_TAILED),
]


@pytest.mark.parametrize(("task", "candidate"), ALL, ids=[f"{task}-{candidate.name}" for task, candidate in ALL])
def test_importance_by_columns_equals_that_of_whole_predictions(task: str, candidate: Candidate) -> None:
    model, rows = fitted(candidate, task)
    whole = importance(WholeRows(model.predict, rows.X), task, rows)
    assert importance(columns_shuffler(model, rows.X), task, rows) == whole
    assert {entry["name"] for entry in whole} == {entry["name"] for entry in INPUTS}


@pytest.mark.parametrize(("task", "candidate"), ALL, ids=[f"{task}-{candidate.name}" for task, candidate in ALL])
def test_every_part_of_a_preparation_gives_the_columns_of_the_whole(task: str, candidate: Candidate) -> None:
    model, rows = fitted(candidate, task)
    columns = Columns(model, rows.X)
    order = np.random.default_rng(1).permutation(len(rows))
    for place in range(len(INPUTS)):
        X = rows.X.copy()
        X[:, place] = X[order, place]
        after = model.prepare(X)
        changed, values = columns.change(Job(place, order))
        np.testing.assert_array_equal(after[:, changed], values)
        rest = np.setdiff1d(np.arange(after.shape[1]), changed)
        np.testing.assert_array_equal(after[:, rest], columns.prepared[:, rest])


@pytest.mark.parametrize("task", METRICS)
def test_a_linear_model_of_many_columns_is_computed_by_blocks(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "WIDE", 10)
    linear = next(candidate for candidate in BUILT_IN[task] if candidate.name == "linear")
    for candidate in [linear, *(LONG_TAILED[:1] if task == "regression" else [])]:
        model, rows = fitted(candidate, task)
        shuffler = columns_shuffler(model, rows.X)
        assert isinstance(shuffler, WideLinear)
        np.testing.assert_allclose(shuffler.plain(), model.predict(rows.X), rtol=1e-12, atol=1e-12)
        whole = {entry["name"]: entry for entry in importance(WholeRows(model.predict, rows.X), task, rows)}
        for entry in importance(shuffler, task, rows):
            assert entry["mean"] == pytest.approx(whole[entry["name"]]["mean"], rel=1e-9, abs=1e-9)


def test_an_input_that_no_tree_splits_at_is_not_predicted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = next(candidate for candidate in BUILT_IN["classification"] if candidate.name == "random_forest")
    model, rows = fitted(replace(forest, space={}), "classification")
    monkeypatch.setattr(shuffling, "split_columns", lambda estimator: np.array([0]))  # only age
    shuffler = Trees(model, rows.X)
    order = np.arange(len(rows))[::-1]
    answers = list(shuffler.shuffled([Job(place, order) for place in range(len(INPUTS))]))
    assert [answer is None for answer in answers] == [False, True, True, True, True, True]


def test_the_importance_of_rows_of_one_class_is_undefined() -> None:
    model, rows = fitted(BUILT_IN["classification"][0], "classification")
    one = rows.take(np.flatnonzero(rows.y == 0))
    assert importance(columns_shuffler(model, one.X), "classification", one) == []
