"""One ONNX graph for everything between the inputs' matrix and the answer: expressions, codes, filling, scaling, model.

Only the estimator itself is converted by skl2onnx. What comes before it is written here, operation by operation, since
converters round it otherwise than NumPy did (scaling) or do not know it (features of dates, the user's expressions).
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from pantheon.errors import PantheonError
from pantheon.workflow.candidates import Fitted
from pantheon.workflow.expressions import COMPARISONS, Tree
from pantheon.workflow.preparation import Design

OPSET, ML_OPSET, IR = 18, 3, 8
INPUT = "features"
UNARY = {"neg": "Neg", "abs": "Abs", "floor": "Floor", "sqrt": "Sqrt"}
BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "minimum": "Less", "maximum": "Greater"}
COMPARED = {
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "equal": "Equal",
    "not_equal": "Equal",
}


class Graph:
    """Nodes and constants of a graph in the making; every method gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"n_{name}", **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def columns(self, name: str, places: Sequence[int]) -> str:
        return self.node("Gather", name, self.constant(np.array(places, np.int64)), axis=1)

    def cast(self, name: str, to: int) -> str:
        return self.node("Cast", name, to=to)

    def concat(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def expression(self, tree: Tree, places: dict[str, int], done: dict[str, str]) -> str:
        """A tree on the columns of the input, as double (rows, 1); ``done`` holds what was computed before."""
        key = repr(tree)
        if key not in done:
            done[key] = self._expression(tree, places, done)
        return done[key]

    def _expression(self, tree: Tree, places: dict[str, int], done: dict[str, str]) -> str:
        op, *parts = tree
        if op == "column":
            return self.cast(self.columns(INPUT, [places[parts[0]]]), TensorProto.DOUBLE)
        if op == "number":
            return self.constant(np.array([[parts[0]]], np.float64))
        values = [self.expression(part, places, done) for part in parts]
        if op == "log1p":
            return self.node("Log", self.node("Add", values[0], self.constant(np.array([[1.0]], np.float64))))
        if op in UNARY:
            return self.node(UNARY[op], *values)
        if op in ("minimum", "maximum"):
            result = self.node("Where", self.node(BINARY[op], *values), *values)
        elif op in COMPARISONS:
            compared = self.node(COMPARED[op], *values)
            if op == "not_equal":
                compared = self.node("Not", compared)
            result = self.cast(compared, TensorProto.DOUBLE)
        else:
            return self.node(BINARY[op], *values)
        empty = self.node("Or", self.node("IsNaN", values[0]), self.node("IsNaN", values[1]))
        return self.node("Where", empty, self.constant(np.array([[np.nan]], np.float64)), result)


def _prepare(graph: Graph, model: Fitted) -> str:
    """`Preparation.transform`, `fill` and the scaler, in nodes."""
    preparation, design = model.preparation, model.design
    numbers = [graph.columns(INPUT, design.plain)] if design.plain else []
    done: dict[str, str] = {}
    nan = graph.constant(np.array([[np.nan]], np.float32))
    for _, tree in design.features:
        value = graph.cast(graph.expression(tree, design.places, done), TensorProto.FLOAT)
        numbers.append(graph.node("Where", graph.node("IsInf", value), nan, value))
    parts = []
    holes = ""
    if numbers:
        matrix = graph.concat(numbers)
        if not model.missing:
            empty = graph.node("IsNaN", matrix)
            if preparation.holes:
                holes = graph.cast(graph.columns(empty, preparation.holes), TensorProto.FLOAT)
            matrix = graph.node("Where", empty, graph.constant(preparation.medians[None, :]), matrix)
        parts.append(matrix)
    for place, categories in design.one_hot:
        column = graph.columns(INPUT, [place])
        hot = graph.node("Equal", column, graph.constant(np.arange(categories, dtype=np.float32)[None, :]))
        parts.append(graph.cast(hot, TensorProto.FLOAT))
        if place in preparation.missing_categories:
            parts.append(graph.cast(graph.node("IsNaN", column), TensorProto.FLOAT))
    for (place, categories), table in zip(design.encoded, preparation.tables, strict=True):
        column = graph.columns(INPUT, [place])
        unknown = graph.constant(np.array([[categories]], np.float32))
        code = graph.node("Where", graph.node("IsNaN", column), unknown, column)
        code = graph.node("Squeeze", graph.cast(code, TensorProto.INT64), graph.constant(np.array([1], np.int64)))
        parts.append(graph.node("Gather", graph.constant(table), code, axis=0))
    if holes:
        parts.append(holes)
    prepared = graph.concat(parts)
    if model.scaler is not None:  # in double, as it was fitted: a scaler in float32 moves what is large and narrow
        prepared = graph.cast(prepared, TensorProto.DOUBLE)
        prepared = graph.node("Sub", prepared, graph.constant(model.scaler.mean_[None, :]))
        prepared = graph.node("Div", prepared, graph.constant(model.scaler.scale_[None, :]))
        prepared = graph.cast(prepared, TensorProto.FLOAT)
    return prepared


def _float32_thresholds(estimator: Any) -> Any:
    """A copy whose trees split at the float32 just below each threshold.

    Inputs are float32, so ``x <= t`` is the same for every x. The converter would round to the nearest instead (of
    histogram gradient boosting), which may lie above a value that the threshold was below.
    """
    estimator = copy.deepcopy(estimator)
    for nodes in (tree.nodes for trees in getattr(estimator, "_predictors", []) for tree in trees):
        nodes["num_threshold"] = _floor32(nodes["num_threshold"])
    return estimator


def _floor32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    near = values.astype(np.float32)
    below = np.nextafter(near, np.float32("-inf"))
    return np.where(near > values, below, near).astype(np.float64)


def _estimator(estimator: Any, task: str) -> onnx.ModelProto:
    """The estimator alone, by skl2onnx, with names of its own."""
    width = int(estimator.n_features_in_)
    options = {"zipmap": False} if task == "classification" else None
    try:
        converted = convert_sklearn(
            _float32_thresholds(estimator),
            initial_types=[("X", FloatTensorType([None, width]))],
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options=options,
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PantheonError(
            f"{type(estimator).__name__} has no ONNX form ({reason[:200]}).",
            "Use an estimator that skl2onnx converts; what is served is ONNX.",
            status=1,
        ) from error
    return compose.add_prefix(converted, "model_")


def export(model: Fitted) -> onnx.ModelProto:
    """A fitted model as one graph.

    Returns:
        Input ``features`` float32 (N, inputs). Outputs: ``label`` int64 (N,) and ``probabilities`` float32
        (N, classes), or ``variable`` float32 (N, 1).

    Raises:
        PantheonError: the estimator does not convert.
    """
    graph = Graph()
    present = model.estimator.classes_ if model.design.task == "classification" else ()
    return assemble(graph, _prepare(graph, model), model.estimator, model.design, present)


def assemble(
    graph: Graph, prepared: str, estimator: Any, design: Design, present: Sequence[int] | NDArray[np.int64]
) -> onnx.ModelProto:
    """The whole graph, from the inputs' matrix to the answer, as ``export`` says.

    Args:
        graph: what was written so far.
        prepared: the name in it of the estimator's input, float32 (N, columns).
        present: of a classifier, the class index that each column of its probabilities stands for.

    Raises:
        PantheonError: the estimator does not convert.
    """
    inner = _estimator(estimator, design.task)
    nodes = [*graph.nodes, helper.make_node("Identity", [prepared], ["model_X"])]
    nodes += list(inner.graph.node)
    constants = [*graph.constants, *inner.graph.initializer]
    if design.task == "regression":
        shape = numpy_helper.from_array(np.array([-1, 1], np.int64), "shape")
        constants.append(shape)
        nodes.append(helper.make_node("Reshape", [inner.graph.output[0].name, "shape"], ["variable"]))
        outputs = [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])]
    else:
        probabilities = inner.graph.output[1].name
        if len(present) < design.classes:  # a class that no training row had: probability 0
            spread = np.eye(design.classes, dtype=np.float32)[np.asarray(present)]
            constants.append(numpy_helper.from_array(spread, "spread"))
            nodes.append(helper.make_node("MatMul", [probabilities, "spread"], ["probabilities"]))
        else:
            nodes.append(helper.make_node("Identity", [probabilities], ["probabilities"]))
        # The likeliest class by one rule for every family; converters break ties each in its own way.
        nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, design.classes]),
        ]
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(design.inputs)])]
    whole = helper.make_graph(nodes, "pantheon", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    found = helper.make_model(whole, opset_imports=opsets, ir_version=IR, producer_name="pantheon")
    onnx.checker.check_model(found)
    return found
