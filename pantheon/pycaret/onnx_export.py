"""PyCaret's whole pipeline as one ONNX graph, from the inputs' matrix to the answer.

As in ``pantheon.workflow.onnx_export``: skl2onnx converts the estimator alone, and what comes before it, PyCaret's
imputing, encoding, scaling and selecting, is written here in double precision, since converters round it otherwise.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from pantheon.errors import PantheonError
from pantheon.pycaret.experiment import Lab
from pantheon.workflow.agreement import Agreement, agreement, enforce
from pantheon.workflow.matrix import Floats
from pantheon.workflow.onnx_export import INPUT, Graph, assemble
from pantheon.workflow.preparation import Design


def export(lab: Lab, pipeline: Any) -> onnx.ModelProto:
    """A fitted pipeline of PyCaret's as one graph, as ``pantheon.workflow.onnx_export.export`` gives it.

    Raises:
        PantheonError: its estimator has no ONNX form, or a step is not known here.
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
        raise PantheonError(f"{type(estimator).__name__} gives no probabilities.", "", 1)
    return assemble(graph, prepared, estimator, lab.design, lab.present[estimator.classes_])


def _unknown(name: str) -> PantheonError:
    return PantheonError(f"PyCaret prepares with a step that has no ONNX form here: {name}.", "", 1)


def _numbers(graph: Graph, design: Design, transformer: Any, names: list[str]) -> str:
    """Means where numbers are missing, then the scaler where there is one; double (rows, numbers)."""
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
    """PyCaret's number for each category, and the usual category's where it is missing; double (rows, categories)."""
    imputer, encoder = (step for _, step in transformer.steps)
    parts = []
    for name, usual, known in zip(names, imputer.statistics_, encoder.categories_, strict=True):
        words = [*design.inputs[design.places[name]]["categories"], usual]
        numbers = {word: float(number) for number, word in enumerate(known)}
        table = np.array([[numbers.get(word, float(encoder.unknown_value))] for word in words])
        column = graph.columns(INPUT, [design.places[name]])
        last = graph.constant(np.array([[len(words) - 1]], np.float32))
        code = graph.node("Where", graph.node("IsNaN", column), last, column)
        code = graph.node("Squeeze", graph.cast(code, TensorProto.INT64), graph.constant(np.array([1], np.int64)))
        parts.append(graph.node("Gather", graph.constant(table), code, axis=0))
    return graph.concat(parts)


def convert(lab: Lab, pipeline: Any, X: Floats) -> tuple[onnx.ModelProto, Agreement]:
    """The graph of a pipeline, and how it agrees with PyCaret's own answers to ``X``.

    Raises:
        PantheonError: there is none, or it answers otherwise than the rule allows.
    """
    model = export(lab, pipeline)
    result = agreement(model, X, lab.predict(pipeline, X))
    enforce(result)
    return model, result
