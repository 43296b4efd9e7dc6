"""The ONNX model predicts what the trained model predicts, for any table."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.agreement import Agreement, agreement, enforce, predict, session
from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.expressions import Column
from pantheon.workflow.training.candidates import BUILT_IN, LONG_TAILED, Prepared, fit
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.parallel import one_thread
from pantheon.workflow.training.preparation import Design

FAMILIES = ("linear", "random_forest", "hist_gradient_boosting")
TOWNS = [f"town {n}" for n in range(50)]
INPUTS: tuple[dict[str, Any], ...] = (
    {"name": "small", "type": "number"},
    {"name": "huge", "type": "number"},
    {"name": "count", "type": "integer"},
    {"name": "flag", "type": "boolean"},
    {"name": "kind", "type": "category", "categories": ["a", "b", "c"]},
    {"name": "town", "type": "category", "categories": TOWNS},
    {"name": "day", "type": "date"},
)
NAMES = tuple(entry["name"] for entry in INPUTS)


def table(rows: int, seed: int, holes: float) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    X = np.stack(
        [
            random.normal(0, 1, rows),
            random.normal(5e6, 2e5, rows),
            random.integers(-50, 5000, rows),
            random.integers(0, 2, rows),
            random.integers(0, 3, rows),
            random.integers(0, len(TOWNS), rows),
            random.integers(15000, 20000, rows) + random.integers(0, 2, rows) / 2,
        ],
        axis=1,
    ).astype(np.float32)
    X[random.random(X.shape) < holes] = np.nan
    return X


def target(X: NDArray[np.float32], classes: int, seed: int) -> NDArray[Any]:
    Z = np.nan_to_num(X.astype(np.float64))
    worth = Z[:, 0] + (Z[:, 1] - 5e6) / 2e5 + np.sin(Z[:, 5]) + Z[:, 3]
    worth = worth + np.random.default_rng(seed).normal(0, 0.5, len(X))
    return np.digitize(worth, np.quantile(worth, np.arange(1, classes) / classes)) if classes else worth


def design(classes: int, columns: tuple[str, ...] = NAMES) -> Design:
    day, small = Column(["column", "day"]), Column(["column", "small"])
    features = (("week", ((day + 3) / 7).tree), ("ratio", (small / abs(small)).tree), ("new", (day > 19000).tree))
    return Design(INPUTS, columns, features, "classification" if classes else "regression", classes)


def fitted(name: str, classes: int, X: Any, y: Any, columns: tuple[str, ...] = NAMES) -> Any:
    family = {c.name: c for c in (*BUILT_IN["classification" if classes else "regression"], *LONG_TAILED)}[name]
    with one_thread():
        return fit(family, {}, Prepared.fit(design(classes, columns), Table(X, y), 0), 0)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [0, 2, 4])
def test_every_family_and_task_agrees(name: str, classes: int) -> None:
    X = table(800, 1, 0.1)
    model = fitted(name, classes, X, target(X, classes, 1))
    fresh = table(3000, 2, 0.2)
    enforce(agreement(export(model), fresh, model.predict(fresh)))


@pytest.mark.parametrize("name", [family.name for family in LONG_TAILED])
@pytest.mark.parametrize("signs", [False, True])
def test_models_of_logarithms_agree_over_many_orders_of_magnitude(name: str, signs: bool) -> None:
    X = table(800, 1, 0.1)
    z = 4 * target(X, 0, 1)
    y = np.where(z > 2, np.exp(z), np.where(z < -10, -np.exp(-z / 4), 0)) if signs else np.exp(z)
    model = fitted(name, 0, X, y)
    fresh = table(3000, 2, 0.2)
    answer = model.predict(fresh)
    assert answer.max() / np.abs(answer[answer != 0]).min() > 1e4
    enforce(agreement(export(model), fresh, answer, model.rounding))


@given(
    name=st.sampled_from(FAMILIES),
    classes=st.sampled_from([0, 2, 3]),
    seed=st.integers(0, 1000),
    holes=st.sampled_from([0.0, 0.05, 0.6]),
    columns=st.sets(st.sampled_from(NAMES), min_size=1).map(lambda s: tuple(n for n in NAMES if n in s)),
)
@settings(max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_tables_agree(name: str, classes: int, seed: int, holes: float, columns: tuple[str, ...]) -> None:
    X = table(200, seed, holes)
    model = fitted(name, classes, X, target(X, classes, seed), columns)
    fresh = np.concatenate([table(300, seed + 1, 0.3), np.full((1, len(INPUTS)), np.nan, np.float32)])
    enforce(agreement(export(model), fresh, model.predict(fresh)))


def test_the_graph_is_what_the_signature_promises() -> None:
    X = table(300, 1, 0.1)
    model = session(export(fitted("linear", 3, X, target(X, 3, 1))))
    (entry,) = model.get_inputs()
    assert (entry.name, entry.type, entry.shape[1]) == ("features", "tensor(float)", len(INPUTS))
    label, probabilities = model.run(["label", "probabilities"], {"features": X[:5]})
    assert label.dtype == np.int64
    assert label.shape == (5,)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(label, probabilities.argmax(axis=1))
    number = session(export(fitted("linear", 0, X, target(X, 0, 1))))
    (variable,) = number.run(None, {"features": X[:5]})
    assert variable.shape == (5, 1)
    assert number.get_outputs()[0].name == "variable"


def test_an_empty_request_gets_an_empty_prediction() -> None:
    X = table(300, 1, 0.1)
    for name in FAMILIES:
        model = fitted(name, 2, X, target(X, 2, 1))
        assert predict(session(export(model)), X[:0]).shape == (0, 2)


def test_a_class_without_training_rows_gets_probability_0() -> None:
    X = table(300, 1, 0.0)
    y = target(X, 3, 1)
    for name in FAMILIES:
        model = fitted(name, 3, X[y != 1], y[y != 1])
        result = predict(session(export(model)), X)
        assert result.shape == (300, 3)
        assert not result[:, 1].any()
        enforce(agreement(export(model), X, model.predict(X)))


def test_a_graph_with_other_predictions_is_refused() -> None:
    X = table(500, 1, 0.0)
    y = target(X, 2, 1)
    model, other = fitted("linear", 2, X, y), fitted("linear", 2, X, 1 - y)
    with pytest.raises(PantheonError, match=r"predicts another class than scikit-learn in 500 of 500 rows") as error:
        enforce(agreement(export(other), X, model.predict(X)))
    assert error.value.status == 1
    slightly = model.predict(X)
    slightly[7] += [2e-3, -2e-3]
    with pytest.raises(PantheonError, match=r"off by more than 0.0001 in 1 of 500 rows \(by 0.002 in row 7\)"):
        enforce(agreement(export(model), X, slightly))


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1e-6), (1e9, 1e6), (1e12, 1e6), (-5e4, 1.0)])
@pytest.mark.parametrize("name", FAMILIES)
def test_numbers_agree_within_the_precision_of_float32(name: str, offset: float, scale: float) -> None:
    X = table(300, 1, 0.1)
    model = fitted(name, 0, X, offset + scale * target(X, 0, 1))
    enforce(agreement(export(model), X, model.predict(X)))


def test_labels_may_differ_in_a_tie_and_one_row_in_ten_thousand_may_be_off() -> None:
    enforce(Agreement(rows=20_000, labels_differ=0, off=2, greatest=0.01, worst=3))
    with pytest.raises(PantheonError):
        enforce(Agreement(rows=20_000, labels_differ=0, off=3, greatest=0.01, worst=3))


def test_a_file_that_is_not_onnx_is_refused_in_one_line(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(PantheonError, match="ONNX Runtime cannot load the model"):
        session(tmp_path / "model.onnx")


def test_the_graph_has_only_standard_operations() -> None:
    X = table(300, 1, 0.1)
    model: onnx.ModelProto = export(fitted("random_forest", 2, X, target(X, 2, 1)))
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx.ml"}
    assert not model.functions
