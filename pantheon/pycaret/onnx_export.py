"""Export PyCaret's complete pipeline as one ONNX graph, from the matrix of inputs to the prediction.

As in ``pantheon.workflow.bundle.onnx_export``, skl2onnx converts only the estimator; the preparation before it (its
imputing, encoding, scaling and selecting) is written here in double precision, since converters round differently.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from pantheon.errors import PantheonError
from pantheon.pycaret.experiment import Lab
from pantheon.workflow.bundle.agreement import Agreement, agreement, enforce
from pantheon.workflow.bundle.onnx_export import INPUT, Graph, assemble
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.preparation import Design


def export(lab: Lab, pipeline: Any) -> onnx.ModelProto:
    """Export a fitted PyCaret pipeline as one graph, like ``pantheon.workflow.bundle.onnx_export.export``.

    Raises:
        PantheonError: its estimator cannot be converted, or a step is not supported.
    """
    graph = Graph()
    (_, columns), *more, (_, estimator) = pipeline.steps
    parts = []
    for name, transformer, names in columns.transformers_:
        if name == "numerical_pipeline":
            parts.append(_numbers(graph, lab.design, transformer, names))
        elif name == "categorical_pipeline":
            parts.append(_categories(graph, lab.design, transformer, names))
        elif transformer != "drop":
            raise _unknown(name)
    prepared = graph.concat(parts)
    for name, step in more:
        if name != "feature_selection":
            raise _unknown(name)
        prepared = graph.columns(prepared, np.flatnonzero(step.get_support()).tolist())
    prepared = graph.cast(prepared, TensorProto.FLOAT)
    if not lab.classification:
        return assemble(graph, prepared, estimator, lab.design, ())
    if not hasattr(estimator, "predict_proba"):
        raise PantheonError(f"{type(estimator).__name__} has no probabilities.", "", 1)
    return assemble(graph, prepared, estimator, lab.design, lab.present[estimator.classes_])


def _unknown(name: str) -> PantheonError:
    return PantheonError(f"PyCaret's step {name} cannot be converted to ONNX.", "", 1)


def _numbers(graph: Graph, design: Design, transformer: Any, names: list[str]) -> str:
    """Add imputing of numbers with means, and the scaler, if any; double (rows, numbers)."""
    engineered = dict(design.features)
    plain = [name for name in names if name not in engineered]
    nan = graph.constant(np.array([[np.nan]], np.float32))
    parts = [graph.columns(INPUT, [design.places[name] for name in plain])] if plain else []
    done: dict[str, str] = {}
    for name in names[len(plain) :]:  # `Lab.frame` has them last
        value = graph.cast(graph.expression(engineered[name], design.places, done), TensorProto.FLOAT)
        parts.append(graph.node("Where", graph.node("IsInf", value), nan, value))
    matrix = graph.cast(graph.concat(parts), TensorProto.DOUBLE)
    imputer, *scalers = [step for _, step in transformer.steps] if hasattr(transformer, "steps") else [transformer]
    means = graph.constant(np.asarray(imputer.statistics_, np.float64)[None, :])
    matrix = graph.node("Where", graph.node("IsNaN", matrix), means, matrix)
    for scaler in scalers:
        if type(scaler).__name__ != "StandardScaler":
            raise _unknown(type(scaler).__name__)
        matrix = graph.node("Sub", matrix, graph.constant(scaler.mean_[None, :]))
        matrix = graph.node("Div", matrix, graph.constant(scaler.scale_[None, :]))
    return matrix


def _categories(graph: Graph, design: Design, transformer: Any, names: list[str]) -> str:
    """Add PyCaret's codes of categories, with the most frequent one for missing values; double (rows, categories)."""
    imputer, encoder = (step for _, step in transformer.steps)
    parts = []
    for name, usual, encoded in zip(names, imputer.statistics_, encoder.categories_, strict=True):
        categories = [*design.inputs[design.places[name]]["categories"], usual]
        numbers = {category: float(number) for number, category in enumerate(encoded)}
        table = np.array([[numbers.get(category, float(encoder.unknown_value))] for category in categories])
        column = graph.columns(INPUT, [design.places[name]])
        last = graph.constant(np.array([[len(categories) - 1]], np.float32))
        code = graph.node("Where", graph.node("IsNaN", column), last, column)
        code = graph.node("Squeeze", graph.cast(code, TensorProto.INT64), graph.constant(np.array([1], np.int64)))
        parts.append(graph.node("Gather", graph.constant(table), code, axis=0))
    return graph.concat(parts)


def convert(lab: Lab, pipeline: Any, X: Floats) -> tuple[onnx.ModelProto, Agreement]:
    """Export a pipeline and compare its predictions for ``X`` with those of PyCaret.

    Raises:
        PantheonError: it cannot be exported, or its predictions differ too much.
    """
    model = export(lab, pipeline)
    result = agreement(model, X, lab.predict(pipeline, X))
    enforce(result)
    return model, result
