"""A feature is traced once, then computed by NumPy and by ONNX with the same result."""

import math
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pantheon.workflow.bundle.agreement import session
from pantheon.workflow.bundle.onnx_export import INPUT, IR, OPSET, Graph
from pantheon.workflow.expressions import (
    BINARY,
    UNARY,
    Column,
    Columns,
    Tree,
    evaluate,
    floor,
    log1p,
    maximum,
    minimum,
    sqrt,
)

INPUTS = [
    {"name": "a", "type": "number"},
    {"name": "b", "type": "number"},
    {"name": "battery", "type": "category", "categories": ["high", "low"]},
]
PLACES = {entry["name"]: place for place, entry in enumerate(INPUTS)}


def by_numpy(tree: Tree, X: Any) -> Any:
    return evaluate(tree, {name: X[:, place] for name, place in PLACES.items()})


def by_onnx(tree: Tree, X: Any) -> Any:
    graph = Graph()
    value = graph.cast(graph.expression(tree, PLACES, {}), TensorProto.FLOAT)
    nan = graph.constant(np.array([[np.nan]], np.float32))
    graph.nodes.append(helper.make_node("Where", [graph.node("IsInf", value), nan, value], ["out"]))
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(INPUTS)])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "g", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
    )
    onnx.checker.check_model(model)
    result = session(model).run(["out"], {INPUT: X})[0][:, 0]
    return np.broadcast_to(result, (len(X),))


def test_onnx_computes_the_same_as_numpy() -> None:
    columns = Columns(INPUTS)
    a, b = columns["a"], columns["b"]
    X = np.array([[4, 2, 1], [9, -3, 0], [np.nan, 1, np.nan]], np.float32)
    for column, expected in [
        (a + b, [6, 6, np.nan]),
        (1 - a, [-3, -8, np.nan]),
        (2 * b / a, [1, -2 / 3, np.nan]),
        (1 / b, [0.5, -1 / 3, 1]),
        (-abs(b), [-2, -3, -1]),
        (log1p(a), [math.log(5), math.log(10), np.nan]),
        (sqrt(a) + floor(b / 2), [3, 1, np.nan]),
        (minimum(a, 5), [4, 5, np.nan]),
        (maximum(3, b), [3, 3, 3]),
        (a > 5, [0, 1, np.nan]),
        (b <= 1, [0, 1, 1]),
        (columns["battery"] == "low", [1, 0, np.nan]),
        (columns["battery"] != "low", [0, 1, np.nan]),
    ]:
        np.testing.assert_allclose(by_numpy(column.tree, X), np.array(expected, np.float32), rtol=1e-6)


def test_non_finite_results_are_missing() -> None:
    column = Columns(INPUTS)["a"]
    X = np.array([[0, 0, 0], [-2, 0, 0]], np.float32)
    assert np.isnan(by_numpy((1 / column).tree, X)).tolist() == [True, False]
    assert np.isnan(by_numpy(log1p(column).tree, X)).tolist() == [False, True]
    assert np.isnan(by_onnx((1 / column).tree, X)).tolist() == [True, False]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda c: c["a"] if c["a"] > 1 else c["b"],
        lambda c: math.log(c["a"]),
        lambda c: c["a"] + "low",
        lambda c: c["battery"] == "empty",
        lambda c: c["a"] + [1, 2],
        lambda c: sum(c["a"]),
    ],
)
def test_python_that_needs_rows_is_refused_with_a_message(misuse: Any) -> None:
    with pytest.raises(TypeError, match=r"column|feature|categories"):
        misuse(Columns(INPUTS))


def test_an_unknown_column_suggests_similar_ones() -> None:
    with pytest.raises(LookupError, match=r"batery.*similar columns: battery"):
        Columns(INPUTS)["batery"]


numbers = st.floats(-1e6, 1e6, width=32)
trees = st.recursive(
    st.sampled_from([["column", "a"], ["column", "b"]]) | numbers.map(lambda value: ["number", value]),
    lambda inner: (
        st.tuples(st.sampled_from(sorted(UNARY)), inner).map(list)
        | st.tuples(st.sampled_from(sorted(BINARY)), inner, inner).map(list)
    ),
    max_leaves=6,
)
values = st.one_of(numbers, st.just(float("nan")), st.sampled_from([0.0, -0.0, 1.0, -1.0]))


@given(tree=trees, rows=st.lists(st.tuples(values, values), min_size=1, max_size=8))
@settings(max_examples=150)
def test_numpy_and_onnx_agree_on_any_expression(tree: Tree, rows: list[tuple[float, float]]) -> None:
    X = np.array([[a, b, 0] for a, b in rows], np.float32)
    one, two = by_numpy(tree, X), by_onnx(tree, X)
    # Logarithms differ in the last bit of a double; what a comparison or floor makes of that bit may differ wholly.
    if not ({"log1p", "sqrt"} & set(str(tree).replace("'", " ").split())):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(two))
        np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize("op", ["log1p", "sqrt"])
def test_logarithms_and_roots_agree(op: str) -> None:
    X = np.random.default_rng(0).lognormal(0, 5, (2000, 3)).astype(np.float32)
    tree = Column([op, ["column", "a"]]).tree
    np.testing.assert_allclose(by_numpy(tree, X), by_onnx(tree, X), rtol=2e-7)
