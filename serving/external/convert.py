"""Convert a scikit-learn model of this environment to ONNX and compare both. Loading the model runs code in it."""

import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import polars
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.agreement import agreement, enforce
from pantheon.workflow.bundle.onnx_export import INPUT, IR, ML_OPSET, OPSET
from pantheon.workflow.data.spec import label_key
from serving.external.adapt import adapt
from serving.external.checks import ROWS, first_line, rows


def convert(
    path: Path, signature: dict[str, Any] | None, name: str, file: str
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Load and convert the model, and compare the predictions.

    Args:
        path: the joblib.
        signature: what its inputs and output are; None: worked out from the names and classes that it was fitted with.
        file: what people call it.

    Returns:
        the ONNX model (as ``onnx_export.export``), the signature, and what the lineage should say of the conversion.

    Raises:
        PantheonError: it cannot be loaded here or converted, or the predictions differ.
    """
    model = load(path, file)
    task = "classification" if is_classifier(model) else "regression"
    signature = fitting(model, signature or derived(model, task, name), task)
    X = rows(signature["inputs"], ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as of rows that no training data resembles
        expected = answers(model, given(model, X, signature["inputs"]), task)
    if hasattr(model, "feature_names_in_"):
        converted, signature, _ = adapt(from_table(model, signature, task), without_ends(signature))
    else:
        converted = to_onnx(model, len(signature["inputs"]), task)
    result = agreement(converted, X, expected)
    enforce(result)
    packages = {package: metadata.version(package) for package in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime")}
    return converted, signature, {"agreement": result.as_dict(), "packages": packages}


def load(path: Path, file: str) -> Any:
    """Load the fitted estimator.

    Raises:
        PantheonError: it needs another scikit-learn version, or is not a fitted classifier or regressor.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(path)
    except InconsistentVersionWarning as error:
        raise PantheonError(
            f"{file} was made with scikit-learn {error.original_sklearn_version}, but this environment has "
            f"{error.current_sklearn_version}: predictions could differ.",
            "Export it to ONNX in the original environment, and publish that.",
        ) from error
    except Exception as error:  # a pickle can fail in any way
        raise PantheonError(
            f"{file} cannot be loaded here: {type(error).__name__}: {first_line(error)}.",
            "Export it to ONNX in the original environment, and publish that.",
        ) from error
    if isinstance(model, dict) and (inner := [key for key, value in model.items() if isinstance(value, BaseEstimator)]):
        raise PantheonError(
            f"{file} contains a dict, whose entry {inner[0]!r} is a {type(model[inner[0]]).__name__}.",
            f"Save the estimator alone: joblib.dump(content[{inner[0]!r}], 'model.joblib')",
        )
    if not isinstance(model, BaseEstimator) or not (is_classifier(model) or is_regressor(model)):
        raise PantheonError(
            f"{file} contains a {type(model).__name__}, which is not a scikit-learn classifier or regressor.",
            "Save the fitted estimator or Pipeline itself: joblib.dump(model, 'model.joblib')",
        )
    if not hasattr(model, "n_features_in_"):
        raise PantheonError(f"{file} contains a {type(model).__name__} that is not fitted.")
    return model


def derived(model: Any, task: str, name: str) -> dict[str, Any]:
    """Create a signature from the estimator: its names, required numbers, and the categories that it encodes."""
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
        "inputs": [described(n, encoded(model).get(n)) for n in known],
        "output": output,
    }


def described(name: str, categories: Any | None) -> dict[str, Any]:
    """Return the entry of an input, given the categories that an encoder learnt of it."""
    entry: dict[str, Any] = {"name": name, "type": "number", "nullable": False, "example": 0}
    if categories is None or not len(categories):
        return entry
    if all(isinstance(each, str) for each in categories):
        return entry | {
            "type": "category",
            "categories": list(categories),
            "unknown": "refuse",
            "example": categories[0],
        }
    if all(isinstance(each, int) for each in categories):
        limits = {"min": min(categories), "max": max(categories), "example": categories[0]}
        return entry | {"type": "integer"} | limits
    return entry


def encoded(model: Any) -> dict[str, Any]:
    """Return the categories that encoders in a fitted ColumnTransformer learnt, by the name of the column."""
    found: dict[str, Any] = {}
    for _, step in getattr(model, "steps", [("", model)]):
        for _, encoder, columns in getattr(step, "transformers_", []):
            for each in (one for _, one in getattr(encoder, "steps", [("", encoder)])):
                learnt = getattr(each, "categories_", [])
                if not isinstance(columns, str) and len(learnt) == len(columns):
                    found |= {str(c): np.asarray(v).tolist() for c, v in zip(columns, learnt, strict=True)}
    return found


def without_ends(signature: dict[str, Any]) -> dict[str, Any]:
    """Return the signature without the names of the graph's input and outputs: those of the table are adapted."""
    return {key: value for key, value in signature.items() if key != "onnx"}


def given(model: Any, X: Any, inputs: list[dict[str, Any]]) -> Any:
    """Return encoded rows as the estimator takes them: a table if it was fitted with one, else the matrix."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return X
    columns: dict[str, Any] = {}
    for name, entry, column in zip(names, inputs, X.T, strict=True):
        texts = [*map(str, entry.get("categories") or []), None]
        codes = np.where(np.isfinite(column), column, -1).astype(int)
        columns[str(name)] = [texts[code] for code in codes] if entry["type"] == "category" else column
    return polars.DataFrame(columns)


def from_table(model: Any, signature: dict[str, Any], task: str) -> Any:
    """Convert an estimator that was fitted with a table: an input per column, texts for categories."""
    kinds = [
        (str(name), (StringTensorType if entry["type"] == "category" else FloatTensorType)([None, 1]))
        for name, entry in zip(model.feature_names_in_, signature["inputs"], strict=True)
    ]
    return converted_by_skl2onnx(model, kinds, task)


def fitting(model: Any, signature: dict[str, Any], task: str) -> dict[str, Any]:
    """Return the signature of the converted model.

    Raises:
        PantheonError: it does not match the model.
    """
    if signature.get("task") != task:
        raise PantheonError(f"the signature says {signature.get('task')!r}, but the model is for {task}.")
    inputs = signature.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != model.n_features_in_:
        raise PantheonError(f"the model has {model.n_features_in_} inputs, but the signature has another number.")
    names = getattr(model, "feature_names_in_", None)
    if names is not None and [str(n) for n in names] != [entry.get("name") for entry in inputs]:
        raise PantheonError(
            "the signature's inputs are not those that the model was fitted with, in that order.",
            f"They are: {', '.join(map(str, names[:20]))}.",
        )
    if task == "classification":
        known, classes = np.asarray(model.classes_).tolist(), (signature.get("output") or {}).get("classes")
        if classes != known and not (isinstance(classes, list) and known == list(range(len(classes)))):
            raise PantheonError(f"the signature's classes are {classes}, but the model's are {known}, in that order.")
    outputs = ["label", "probabilities"] if task == "classification" else ["variable"]
    return signature | {"onnx": {"input": INPUT, "outputs": outputs}}


def answers(model: Any, X: Any, task: str) -> NDArray[np.float64]:
    """Predict probabilities (rows, classes) or numbers (rows,).

    Raises:
        PantheonError: the model has no probabilities, or more than one number per row.
    """
    if task == "classification" and not hasattr(model, "predict_proba"):
        raise PantheonError(
            f"{type(model).__name__} has no probabilities.", "Wrap it: CalibratedClassifierCV(model).fit(X, y)."
        )
    try:
        if task == "classification":
            return np.asarray(model.predict_proba(X), dtype=np.float64)
        found = np.asarray(model.predict(X), dtype=np.float64)
    except MemoryError:
        raise
    except Exception as error:  # of any estimator, for values that it does not take
        raise PantheonError(
            f"{type(model).__name__} fails for values that its signature allows: {first_line(error)}.",
            "Describe its inputs more closely: add `--signature signature.json` with types, categories, min and max.",
        ) from error
    if found.ndim != 1 and found.shape[1:] != (1,):
        raise PantheonError("the model answers with several numbers a row; one is served.")
    return found.reshape(-1)


def converted_by_skl2onnx(model: Any, kinds: list[tuple[str, Any]], task: str) -> Any:
    """Convert the model to ONNX with these inputs; raises as ``to_onnx``."""
    try:
        return convert_sklearn(
            model,
            initial_types=kinds,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options={"zipmap": False} if task == "classification" else None,
        )
    except Exception as error:  # converters can raise any error
        raise PantheonError(
            f"{type(model).__name__} cannot be converted to ONNX ({first_line(error)}).", _CURE, 1
        ) from error


def to_onnx(model: Any, width: int, task: str) -> Any:
    """Convert the model to one graph with the input and output names of Pantheon's bundles.

    Raises:
        PantheonError: skl2onnx does not convert it.
    """
    inner = compose.add_prefix(converted_by_skl2onnx(model, [("X", FloatTensorType([None, width]))], task), "model_")
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


_CURE = "Export it to ONNX yourself and publish that, or use an estimator that skl2onnx can convert."
