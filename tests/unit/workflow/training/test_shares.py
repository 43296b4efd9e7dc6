"""A forest whose trees are fitted in shares is the forest that a single fit gives."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from pantheon.errors import PantheonError
from pantheon.workflow import cancellation
from pantheon.workflow.training.shares import Exchange, Task, assemble, can_share, fit_trees, share

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(120, 5)).astype(np.float32)
LABELS = (X[:, 0] + RANDOM.normal(size=120) > 0).astype(int) + 3 * (X[:, 1] > 1)
NUMBERS = X[:, 0] * 3 + RANDOM.normal(size=120)

FORESTS: dict[str, tuple[Any, Any]] = {
    "forest of classes": (RandomForestClassifier(max_depth=4, max_samples=80, max_features=0.5), LABELS),
    "balanced": (RandomForestClassifier(max_depth=3, class_weight="balanced_subsample"), LABELS),
    "forest of numbers": (RandomForestRegressor(max_depth=4, max_samples=80), NUMBERS),
    "extra trees of classes": (ExtraTreesClassifier(max_depth=4), LABELS),
    "extra trees of numbers": (ExtraTreesRegressor(max_depth=4, bootstrap=True), NUMBERS),
}


def assert_same(forest: Any, other: Any) -> None:
    """Every parameter, seed and node is the same, and so are the predictions, to the last bit."""
    assert forest.get_params() == other.get_params()
    assert sorted(vars(forest)) == sorted(vars(other))
    assert len(forest.estimators_) == len(other.estimators_)
    for tree, same in zip(forest.estimators_, other.estimators_, strict=True):
        assert tree.get_params() == same.get_params()
        state, expected = (each.tree_.__getstate__() for each in (tree, same))
        np.testing.assert_array_equal(state["values"], expected["values"])
        for name in expected["nodes"].dtype.names:  # not the bytes between the fields, which are never set
            np.testing.assert_array_equal(state["nodes"][name], expected["nodes"][name])
    predict = "predict_proba" if hasattr(forest, "classes_") else "predict"
    np.testing.assert_array_equal(getattr(forest, predict)(X), getattr(other, predict)(X))


@given(trees=st.integers(1, 200), nodes=st.integers(1, 40))
def test_shares_are_all_trees_once_and_about_equal(trees: int, nodes: int) -> None:
    shares = [share(trees, nodes, rank) for rank in range(nodes)]
    assert [tree for part in shares for tree in part] == list(range(trees))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(
    name=st.sampled_from(sorted(FORESTS)), trees=st.integers(1, 9), nodes=st.integers(1, 5), seed=st.integers(0, 2**31)
)
def test_a_forest_in_shares_equals_a_single_fit(name: str, trees: int, nodes: int, seed: int) -> None:
    model, y = FORESTS[name]
    forest = clone(model).set_params(n_estimators=trees, random_state=seed)
    parts = [part for rank in range(nodes) if (part := share(trees, nodes, rank))]
    fitted = [tree for part in parts for tree in fit_trees(forest, X, y, part)]
    assert not hasattr(forest, "estimators_")
    assert_same(assemble(clone(forest), X, y, fitted), clone(forest).fit(X, y))


def test_other_estimators_are_not_shared() -> None:
    class Own(RandomForestClassifier):  # may fit its trees in another way
        pass

    assert can_share(RandomForestClassifier(random_state=1))
    for other in (
        RandomForestClassifier(),
        RandomForestClassifier(random_state=1, oob_score=True),
        RandomForestClassifier(random_state=1, warm_start=True),
        Own(random_state=1),
    ):
        assert not can_share(other)


def task(trees: int = 10, seed: int = 3) -> Task:
    return Task(RandomForestClassifier(trees, max_depth=4, random_state=seed), X, LABELS)


def test_the_first_process_gathers_what_the_others_fit(tmp_path: Path) -> None:
    said: list[str] = []
    helpers = [threading.Thread(target=Exchange(tmp_path, 3, rank, said.append).help) for rank in (1, 2)]
    for helper in helpers:
        helper.start()  # before there is a plan
    first = Exchange(tmp_path, 3, 0, said.append)
    first.plan({"random_forest": task()})
    whole = first.gather("random_forest", task())
    for helper in helpers:
        helper.join()
    assert_same(whole, task().forest.fit(X, LABELS))
    assert "random_forest: trees 3 to 5 of 10 are fitted" in said
    assert not list(tmp_path.rglob("*.part"))

    again = Exchange(tmp_path, 3, 0, said.append)  # as after a restart: nothing is fitted again
    before = len(said)
    again.plan({"random_forest": task()})
    assert_same(again.gather("random_forest", task()), whole)
    assert said[before:] == ["continuing with the trees that are done"]

    again.finish()
    assert [path.name for path in tmp_path.rglob("*")] == ["plan.json"]
    assert Exchange(tmp_path, 3, 0, said.append).is_finished()
    Exchange(tmp_path, 3, 1, said.append).help()  # started again afterwards: it fits nothing
    assert said[-1] == "waiting for the plan of node 0"


@pytest.mark.parametrize("change", ["seed", "trees", "data", "nodes"])
def test_trees_of_another_forest_are_refused(tmp_path: Path, change: str) -> None:
    Exchange(tmp_path, 2, 0, print).plan({"forest": task()})
    other = {"seed": task(seed=4), "trees": task(11), "data": Task(task().forest, X + 1, LABELS), "nodes": task()}
    with pytest.raises(PantheonError, match="of other data, parameters or number of nodes"):
        Exchange(tmp_path, 3 if change == "nodes" else 2, 0, print).plan({"forest": other[change]})


def test_a_process_that_waits_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = threading.Event()
    requested.set()
    monkeypatch.setattr(cancellation, "requested", requested)
    with pytest.raises(KeyboardInterrupt):
        Exchange(tmp_path, 2, 1, print).help()
