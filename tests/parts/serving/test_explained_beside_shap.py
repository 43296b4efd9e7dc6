"""Explanations have the values that the package shap computes for the same function, row and background."""

from pathlib import Path

import numpy as np
import pytest

from serving.model.background import Background
from serving.model.explain import explain
from serving.model.predictor import Predictor
from tests.support import oracles
from tests.support.bundles import bundle

INPUTS = [{"name": f"x{i}", "type": "number", "nullable": True} for i in range(4)]
X = [1.0, -2.0, 0.5, 1.0]


@pytest.mark.timeout(300)
def test_values_are_those_of_shap(tmp_path: Path) -> None:
    background = np.random.default_rng(7).normal(size=(32, 4)).astype(np.float32)
    predictor = Predictor(bundle(tmp_path / "bundle", INPUTS, "regression"), "made", "1")
    predictor.scores = lambda rows, deadline: crossed(rows.astype(float))[:, None]  # type: ignore[method-assign]
    row = {f"x{i}": value for i, value in enumerate(X)}
    (ours,) = explain(predictor, [row], background=Background(background, "test"))
    theirs = oracles.answer("oracles", "shap_values.py", {"x": X, "background": background.tolist()})
    by_name = {each["name"]: each["shapley"] for each in ours["features"]}
    assert ours["exact"]
    assert ours["base"] == pytest.approx(theirs["base"], abs=1e-9)
    assert [by_name[f"x{i}"] for i in range(4)] == pytest.approx(theirs["values"], abs=1e-9)


def crossed(rows: np.ndarray) -> np.ndarray:
    """The function ``crossed`` of tests/support/oracles_inside/shap_values.py."""
    found: np.ndarray = rows[:, 0] * rows[:, 1] + np.sin(rows[:, 2]) * (rows[:, 0] + rows[:, 1])
    return found
