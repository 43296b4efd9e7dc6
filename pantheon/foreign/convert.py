"""A scikit-learn model of this environment → ONNX that agrees with it. Loading it runs the code in it."""

import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning

from pantheon.errors import PantheonError
from pantheon.foreign.checks import ROWS, first_line, rows
from pantheon.workflow.agreement import agreement, enforce
from pantheon.workflow.onnx_export import INPUT, IR, ML_OPSET, OPSET
from pantheon.workflow.spec import label_key


def convert(
    path: Path, signature: dict[str, Any] | None, name: str, file: str
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Load, convert, and compare.

    Args:
        path: the joblib.
        signature: what its inputs and output are; None: worked out from the names and classes that it was fitted with.
        file: what people call it.

    Returns:
        the ONNX model (as ``onnx_export.export``), the signature, and what the lineage should say of the conversion.

    Raises:
        PantheonError: it cannot be loaded here, has no ONNX form, or the two do not agree.
    """
    model = load(path, file)
    task = "classification" if is_classifier(model) else "regression"
    signature = fitting(model, signature or derived(model, task, name), task)
    converted = to_onnx(model, len(signature["inputs"]), task)
    X = rows(signature["inputs"], ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "X does not have valid feature names": it has their order
        expected = answers(model, X, task)
    result = agreement(converted, X, expected)
    enforce(result)
    packages = {package: metadata.version(package) for package in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime")}
    return converted, signature, {"agreement": result.as_dict(), "packages": packages}


def load(path: Path, file: str) -> Any:
    """The fitted estimator.

    Raises:
        PantheonError: it is of another scikit-learn, or no fitted classifier or regressor.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(path)
    except InconsistentVersionWarning as error:
        raise PantheonError(
            f"{file} was made with scikit-learn {error.original_sklearn_version}, here is "
            f"{error.current_sklearn_version}: what it loads to may answer otherwise.",
            "Export it to ONNX where it was made, and publish that.",
        ) from error
    except Exception as error:  # a pickle can fail in any way
        raise PantheonError(
            f"{file} cannot be loaded here: {type(error).__name__}: {first_line(error)}.",
            "Export it to ONNX where it was made, and publish that.",
        ) from error
    if not isinstance(model, BaseEstimator) or not (is_classifier(model) or is_regressor(model)):
        raise PantheonError(f"{file} holds a {type(model).__name__}, which is no scikit-learn classifier or regressor.")
    if not hasattr(model, "n_features_in_"):
        raise PantheonError(f"{file} holds a {type(model).__name__} that is not fitted.")
    return model


def derived(model: Any, task: str, name: str) -> dict[str, Any]:
    """A signature from what the estimator knows: numbers by their names, none of them missing."""
    names = getattr(model, "feature_names_in_", None)
    known = [str(n) for n in names] if names is not None else [f"x{i}" for i in range(1, model.n_features_in_ + 1)]
    if task == "classification":
        classes = np.asarray(model.classes_).tolist()
        output = {"name": "class", "type": "category", "classes": classes}
        output["labels"] = {label_key(value): str(value) for value in classes}
    else:
        output = {"name": "value", "type": "number", "unit": ""}
    return {
        "format": 1,
        "name": name,
        "task": task,
        "inputs": [{"name": n, "type": "number", "nullable": False, "example": 0} for n in known],
        "output": output,
    }


def fitting(model: Any, signature: dict[str, Any], task: str) -> dict[str, Any]:
    """The signature of the converted model.

    Raises:
        PantheonError: it speaks of another model.
    """
    if signature.get("task") != task:
        raise PantheonError(f"the signature says {signature.get('task')!r}, the model does {task}.")
    inputs = signature.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != model.n_features_in_:
        raise PantheonError(f"the model takes {model.n_features_in_} inputs, the signature names another number.")
    names = getattr(model, "feature_names_in_", None)
    if names is not None and [str(n) for n in names] != [entry.get("name") for entry in inputs]:
        raise PantheonError(
            "the signature's inputs are not those that the model was fitted with, in that order.",
            f"They are: {', '.join(map(str, names[:20]))}.",
        )
    if task == "classification":
        known, classes = np.asarray(model.classes_).tolist(), (signature.get("output") or {}).get("classes")
        if classes != known and not (isinstance(classes, list) and known == list(range(len(classes)))):
            raise PantheonError(f"the signature's classes are {classes}, the model's are {known}, in that order.")
    outputs = ["label", "probabilities"] if task == "classification" else ["variable"]
    return signature | {"onnx": {"input": INPUT, "outputs": outputs}}


def answers(model: Any, X: Any, task: str) -> NDArray[np.float64]:
    """Probabilities (rows, classes), or numbers (rows,).

    Raises:
        PantheonError: the model has no probabilities, or more than one number a row.
    """
    if task == "classification":
        if not hasattr(model, "predict_proba"):
            raise PantheonError(
                f"{type(model).__name__} has no probabilities.", "Wrap it: CalibratedClassifierCV(model).fit(X, y)."
            )
        return np.asarray(model.predict_proba(X), dtype=np.float64)
    found = np.asarray(model.predict(X), dtype=np.float64)
    if found.ndim != 1 and found.shape[1:] != (1,):
        raise PantheonError("the model answers with several numbers a row; one is served.")
    return found.reshape(-1)


def to_onnx(model: Any, width: int, task: str) -> Any:
    """The model as one graph with the names of our own bundles.

    Raises:
        PantheonError: skl2onnx does not convert it.
    """
    answers(model, np.zeros((1, width), np.float32), task)
    try:
        inner = compose.add_prefix(
            convert_sklearn(
                model,
                initial_types=[("X", FloatTensorType([None, width]))],
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
                options={"zipmap": False} if task == "classification" else None,
            ),
            "model_",
        )
    except Exception as error:  # converters raise whatever they like
        raise PantheonError(f"{type(model).__name__} has no ONNX form ({first_line(error)}).", _CURE, 1) from error
    nodes = [helper.make_node("Identity", [INPUT], ["model_X"]), *inner.graph.node]
    constants = list(inner.graph.initializer)
    if task == "classification":
        nodes.append(helper.make_node("Identity", [inner.graph.output[1].name], ["probabilities"]))
        nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(model.classes_)]),
        ]
    else:
        constants.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "shape"))
        nodes.append(helper.make_node("Reshape", [inner.graph.output[0].name, "shape"], ["variable"]))
        outputs = [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])]
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])]
    graph = helper.make_graph(nodes, "pantheon", inputs, outputs, constants)
    found = helper.make_model(graph, opset_imports=list(inner.opset_import), ir_version=IR, producer_name="pantheon")
    onnx.checker.check_model(found)
    return found


_CURE = "What is served is ONNX: export it yourself and publish that, or take an estimator that skl2onnx converts."
