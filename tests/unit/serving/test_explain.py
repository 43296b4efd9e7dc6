"""Explanations are Shapley values: they add up, treat equal inputs alike, and ignore inputs that do nothing."""

import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.model.background import SIGNATURE, TRAINING, Background, load
from serving.model.explain import explain
from serving.model.predictor import Answer, Predictor, TooSlow
from serving.problems import Problem
from tests.support.bundles import EVERY_TYPE, bundle

ROW = {"robot-age": 5, "rust-level": 9, "battery": "low"}


class Made:
    """A model that is a function of the encoded rows, served like any other."""

    def __init__(self, folder: Path, inputs: int, function: Any) -> None:
        names = [{"name": f"x{i}", "type": "number", "nullable": True} for i in range(inputs)]
        self.predictor = Predictor(bundle(folder, names, "regression"), "made", "1")
        self.predictor.scores = lambda features, deadline: function(features.astype(float))[:, None]  # type: ignore[method-assign]

    def values(self, x: list[float], background: Any, **given: Any) -> tuple[dict[str, Any], list[float]]:
        rows = Background(np.array(background, np.float32), "test")
        said = explain(self.predictor, [{f"x{i}": v for i, v in enumerate(x)}], background=rows, **given)[0]
        by_name = {each["name"]: each["shapley"] for each in said["features"]}
        return said, [by_name[f"x{i}"] for i in range(len(x))]


def oracle(function: Any, x: list[float], background: Any) -> list[float]:
    """The definition: the mean over all orders and all background rows."""
    total, count = np.zeros(len(x)), 0
    for other in np.array(background, float):
        for order in itertools.permutations(range(len(x))):
            now = other.copy()
            before = function(now[None])[0]
            for i in order:
                now[i] = x[i]
                after = function(now[None])[0]
                total[i] += after - before
                before = after
            count += 1
    return list(total / count)


def crossed(X: Any) -> Any:
    """x0 and x1 play the same part; x3 plays none."""
    return X[:, 0] * X[:, 1] + np.sin(X[:, 2]) * (X[:, 0] + X[:, 1])


numbers = st.floats(-3, 3, width=32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made") / "b", 4, crossed)


@given(
    st.lists(numbers, min_size=4, max_size=4),
    st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=3),
)
def test_exact_values_are_those_of_the_definition(made: Made, x: list[float], background: list[list[float]]) -> None:
    said, values = made.values(x, background)
    assert said["exact"]
    assert values == pytest.approx(oracle(crossed, x, background), abs=1e-9)
    assert said["base"] + sum(values) == pytest.approx(crossed(np.array([x]))[0], abs=1e-9)
    assert values[3] == 0


@given(numbers, st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
def test_inputs_that_play_the_same_part_have_the_same_value(made: Made, x: float, others: list[Any]) -> None:
    _, values = made.values([x, x, 1, 0], [[a, a, b, 0] for a, b in others])
    assert values[0] == pytest.approx(values[1], abs=1e-9)


def test_orders_are_close_to_all_sets_add_up_and_repeat(made: Made) -> None:
    background = np.random.default_rng(1).normal(size=(32, 4))
    exact, right = made.values([1, 2, 0.5, 1], background)
    said, values = made.values([1, 2, 0.5, 1], background, exact=0)
    assert (exact["exact"], said["exact"]) == (True, False)
    assert values == pytest.approx(right, abs=0.05)
    assert said["base"] + sum(values) == pytest.approx(exact["output"], abs=1e-9)
    assert values[3] == 0
    assert said == made.values([1, 2, 0.5, 1], background, exact=0)[0]


def test_a_sum_is_exact_also_in_orders(tmp_path: Path) -> None:
    weights = np.arange(30) - 10.0
    made = Made(tmp_path / "b", 30, lambda X: X @ weights)
    background = np.random.default_rng(2).normal(size=(32, 30)).astype(np.float32)
    said, values = made.values([1.0] * 30, background)
    assert not said["exact"]
    assert values == pytest.approx(weights * (1 - background.astype(float).mean(axis=0)), abs=1e-9)


def test_a_class_is_explained_by_its_probability(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    numbers = {"rows": 100, "below": [i / 32 for i in range(33)]}
    columns = {
        "robot-age": {"kind": "number", **numbers, "quantiles": [1 + i / 16 for i in range(33)]},
        "rust-level": {"kind": "number", **numbers, "quantiles": [2] * 33, "missing": 0.5},
        "battery": {"kind": "category", "rows": 100, "categories": {"high": 0.75, "medium": 0.25}},
    }
    (folder / "reference.json").write_text(json.dumps({"format": 1, "rows": 100, "columns": columns}))
    predictor = Predictor(folder, "robots", "1")
    (said,) = explain(predictor, [ROW])
    assert (said["of"], said["exact"], said["background"]) == ("Bad Condition", True, TRAINING)
    assert said["output"] == pytest.approx(1 / (1 + math.exp(-3.5)), abs=1e-6)
    typical = load(folder, predictor.signature).rows
    assert np.isnan(typical).sum(axis=0).tolist() == [0, 8, 0]
    assert np.nanmean(typical, axis=0) == pytest.approx([2, 2, 0.5], abs=0.02)
    base = np.mean([1 / (1 + math.exp(4 - s / 2)) for s in np.nansum(typical, axis=1)])
    assert said["base"] == pytest.approx(base, abs=1e-6)
    assert [each["name"] for each in said["features"]] == ["rust-level", "robot-age", "battery"]
    assert said["features"][0]["value"] == 9
    assert said["words"].startswith("Bad Condition: 97 %, with typical values ")
    assert "Most of it: rust-level 9 (" in said["words"]


def test_the_predicted_class_is_explained_also_if_another_one_is_likelier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(bundle(tmp_path / "b"), "robots", "1")
    likelier = explain(predictor, [ROW])[0]
    other = next(each for each in predictor.signature.classes if predictor.signature.label(each) != likelier["of"])
    monkeypatch.setattr(predictor, "predict", lambda *given: Answer([other], None))
    assert explain(predictor, [ROW])[0]["output"] == pytest.approx(1 - likelier["output"])


def test_an_explanation_ends_at_its_deadline(tmp_path: Path) -> None:
    with pytest.raises(TooSlow):
        explain(Predictor(bundle(tmp_path / "b"), "robots", "1"), [ROW], time.monotonic() - 1)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_bundle_without_typical_values_says_what_was_used(tmp_path: Path, task: str) -> None:
    predictor = Predictor(bundle(tmp_path / "b", EVERY_TYPE, task), "m", "1")
    row = {each["name"]: each["example"] for each in EVERY_TYPE if "example" in each}
    (said,) = explain(predictor, [row])
    assert said["background"] == SIGNATURE
    assert said["base"] + sum(each["shapley"] for each in said["features"]) == pytest.approx(said["output"])


AGE = {"kind": "number", "rows": 9}
BATTERY = {"kind": "category", "rows": 9, "categories": {"empty": 1.0}}
DAMAGED = {
    "no JSON": "{",
    "another format": {"format": 9, "rows": 1, "columns": {}},
    "no inputs": {"format": 1, "rows": 1, "columns": {}},
    "another type": {"format": 1, "rows": 9, "columns": {"robot-age": BATTERY, "rust-level": AGE, "battery": AGE}},
    "another category": {"format": 1, "rows": 9, "columns": {"robot-age": AGE, "rust-level": AGE, "battery": BATTERY}},
    "few quantiles": {"format": 1, "rows": 9, "columns": {"robot-age": AGE | {"quantiles": [1]}}},
    "a share above 1": {"format": 1, "rows": 9, "columns": {"robot-age": AGE | {"missing": 2}}},
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_reference_is_a_problem_in_words(tmp_path: Path, content: Any) -> None:
    folder = bundle(tmp_path / "b")
    (folder / "reference.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(Problem, match="cannot be explained") as caught:
        explain(Predictor(folder, "robots", "1"), [ROW])
    assert caught.value.status == 503
