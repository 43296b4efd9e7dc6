"""Export a model as one ONNX graph, from inputs to prediction: features, codes, imputing, scaling, model.

skl2onnx converts only the estimator. The preparation before it is written here, operation by operation, since
converters round differently from NumPy (scaling) or do not support it (features of dates, the user's expressions).
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
from pantheon.workflow.bundle.versions import IR, ML_OPSET, OPSET
from pantheon.workflow.expressions import COMPARISONS
from pantheon.workflow.outputs import Tree
from pantheon.workflow.training.candidates import Fitted
from pantheon.workflow.training.log_target import LogTarget
from pantheon.workflow.training.preparation import Design

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
    """Builder of nodes and constants of a graph; every method returns the name of its result."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self.prefix}t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"n_{name}", **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def columns(self, name: str, places: Sequence[int]) -> str:
        return self.node("Gather", name, self.constant(np.array(places, np.int64)), axis=1)

    def cast(self, name: str, to: int) -> str:
        return self.node("Cast", name, to=to)

    def concat(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def expression(self, tree: Tree, places: dict[str, int], done: dict[str, str]) -> str:
        """Add an expression tree, as double (rows, 1); ``done`` caches results by subtree."""
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
    """Add nodes for `Preparation.transform`, `fill` and the scaler."""
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
    if (
        model.scaler is not None
    ):  # in double, as fitted: float32 would shift columns with large values and a small spread
        prepared = graph.cast(prepared, TensorProto.DOUBLE)
        prepared = graph.node("Sub", prepared, graph.constant(model.scaler.mean_[None, :]))
        prepared = graph.node("Div", prepared, graph.constant(model.scaler.scale_[None, :]))
        prepared = graph.cast(prepared, TensorProto.FLOAT)
    return prepared


def _float32_thresholds(estimator: Any) -> Any:
    """Return a copy whose trees split at the largest float32 not above the threshold.

    Inputs are float32, so ``x <= t`` is the same for every x. For histogram gradient boosting, the converter rounds to
    the nearest float32 instead, which may be above an input that is greater than the threshold.
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
    """Convert the estimator with skl2onnx, with a prefix for all names."""
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
            f"{type(estimator).__name__} cannot be converted to ONNX ({reason[:200]}).",
            "Use an estimator that skl2onnx supports: models are served as ONNX.",
            status=1,
        ) from error
    return compose.add_prefix(converted, "model_")


def _from_logarithm(estimator: LogTarget) -> Graph:
    """Return the nodes of ``LogTarget.predict`` after its inner estimator: ``transformed`` → ``variable``."""
    graph = Graph("log_")
    limit = 2 * estimator.greatest_
    z = graph.cast("transformed", TensorProto.DOUBLE)
    z = graph.node(
        "Max", graph.node("Min", z, graph.constant(np.array([[limit]]))), graph.constant(np.array([[-limit]]))
    )
    size = graph.node("Sub", graph.node("Exp", graph.node("Abs", z)), graph.constant(np.array([[1.0]])))
    size = graph.node("Mul", size, graph.constant(np.array([[estimator.scale_]])))
    number = graph.cast(graph.node("Mul", graph.node("Sign", z), size), TensorProto.FLOAT)
    graph.nodes.append(helper.make_node("Identity", [number], ["variable"]))
    return graph


def export(model: Fitted) -> onnx.ModelProto:
    """Export a fitted model as one graph.

    Returns:
        Input ``features`` float32 (N, inputs). Outputs: ``label`` int64 (N,) and ``probabilities`` float32
        (N, classes), or ``variable`` float32 (N, 1).

    Raises:
        PantheonError: the estimator cannot be converted.
    """
    graph = Graph()
    present = model.estimator.classes_ if model.design.task == "classification" else ()
    return assemble(graph, _prepare(graph, model), model.estimator, model.design, present)


def assemble(
    graph: Graph, prepared: str, estimator: Any, design: Design, present: Sequence[int] | NDArray[np.int64]
) -> onnx.ModelProto:
    """Assemble the complete graph, with the inputs and outputs of ``export``.

    Args:
        graph: the nodes of the preparation.
        prepared: the name in it of the estimator's input, float32 (N, columns).
        present: of a classifier, the class indices that the columns of its probabilities stand for.

    Raises:
        PantheonError: the estimator cannot be converted.
    """
    logarithmic = isinstance(estimator, LogTarget)
    inner = _estimator(estimator.inner if logarithmic else estimator, design.task)
    nodes = [*graph.nodes, helper.make_node("Identity", [prepared], ["model_X"])]
    nodes += list(inner.graph.node)
    constants = [*graph.constants, *inner.graph.initializer]
    if design.task == "regression":
        constants.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "shape"))
        column = "transformed" if logarithmic else "variable"
        nodes.append(helper.make_node("Reshape", [inner.graph.output[0].name, "shape"], [column]))
        if logarithmic:
            more = _from_logarithm(estimator)
            nodes += more.nodes
            constants += more.constants
        outputs = [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])]
    else:
        probabilities = inner.graph.output[1].name
        if len(present) < design.classes:  # a class without training rows: probability 0
            spread = np.eye(design.classes, dtype=np.float32)[np.asarray(present)]
            constants.append(numpy_helper.from_array(spread, "spread"))
            nodes.append(helper.make_node("MatMul", [probabilities, "spread"], ["probabilities"]))
        else:
            nodes.append(helper.make_node("Identity", [probabilities], ["probabilities"]))
        # The same rule for the most likely class in every family: converters break ties differently.
        nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, design.classes]),
        ]
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(design.inputs)])]
    complete = helper.make_graph(nodes, "pantheon", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(complete, opset_imports=opsets, ir_version=IR, producer_name="pantheon")
    onnx.checker.check_model(model)
    return model
