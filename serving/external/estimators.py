"""Convert a fitted scikit-learn estimator to ONNX.

Runs in an environment that may lack most of Pantheon's packages; see ``conversion``.
"""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.preprocessing import StandardScaler

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.versions import ML_OPSET, OPSET
from pantheon.workflow.data.spec import label_key
from serving.external.converted import Converted
from serving.external.samples import ROWS, first_line, mixed

try:
    import pandas
except ImportError:  # the workflow's environment has none
    pandas = None


def convert(model: Any, signature: dict[str, Any] | None, name: str) -> Converted:
    """Convert a fitted classifier or regressor, and ask it about rows.

    Args:
        signature: what its inputs and output are; None: worked out from the names and classes that it was fitted with.

    Raises:
        PantheonError: it does not match the signature, or cannot be converted.
    """
    signature = fitting(model, signature or derived(model, name))
    X = mixed(signature["inputs"], ROWS)
    return converted(model, signature, X, table=names_of(model) is not None)


def converted(
    model: Any,
    signature: dict[str, Any],
    X: Any,
    *,
    table: bool,
    what: str = "scikit-learn",
    packages: Sequence[str] = (),
) -> Converted:
    """Convert an estimator whose ``signature`` fits, and ask it about the rows ``X``.

    Args:
        table: it was fitted with a table, and takes one.
        what: the library's name.
        packages: that take part in addition to scikit-learn's.
    """
    inputs, task = signature["inputs"], signature["task"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as of rows that no training data resembles
        expected = answers(model, tables(model, X, inputs) if table else [X], task)
    kinds = columns(model, signature) if table else [("X", FloatTensorType([None, len(inputs)]))]
    made = converted_by_skl2onnx(model, kinds, task)
    if task == "classification":  # the likeliest class is served, not the label
        del made.graph.output[0]
    return Converted(
        what, made.SerializeToString(), signature, X, expected, ["scikit-learn", "skl2onnx", "onnx", *packages]
    )


def package_of(model: Any) -> str:
    """Return the package of an estimator, such as ``xgboost``."""
    return type(model).__module__.partition(".")[0]


def title(model: Any) -> str:
    """Return the name of an estimator; of a Pipeline, with that of its last step."""
    name, steps = type(model).__name__, getattr(model, "steps", [])
    return f"{name} that ends with {type(steps[-1][1]).__name__}" if steps else name


def task_of(model: Any) -> str:
    return "classification" if hasattr(model, "classes_") else "regression"


def derived(model: Any, name: str) -> dict[str, Any]:
    """Create a signature from the estimator: its names, required numbers, and the categories that it encodes."""
    task = task_of(model)
    known = names_of(model) or [f"x{i}" for i in range(1, model.n_features_in_ + 1)]
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


def names_of(model: Any) -> list[str] | None:
    """Return the names of the columns that the model was fitted with; None if they had none."""
    names = getattr(model, "feature_names_in_", None)
    known = [str(each) for each in names] if names is not None else []
    made_up = all(re.fullmatch(r"Column_\d+", each) for each in known)  # by LightGBM
    return None if made_up else known


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


def tables(model: Any, X: Any, inputs: list[dict[str, Any]]) -> list[Any]:
    """Return encoded rows as a table of each library that is here: estimators may take only that of their training."""
    columns: dict[str, Any] = {}
    for name, entry, column in zip(model.feature_names_in_, inputs, X.T, strict=True):
        texts = [*map(str, entry.get("categories") or []), None]
        codes = np.where(np.isfinite(column), column, -1).astype(int)
        columns[str(name)] = [texts[code] for code in codes] if entry["type"] == "category" else column
    found = [polars.DataFrame(columns)]
    if pandas:
        kept = {name: pandas.Series(v, dtype=object) if isinstance(v, list) else v for name, v in columns.items()}
        found.insert(0, pandas.DataFrame(kept))
    return found


def columns(model: Any, signature: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the inputs of an estimator that was fitted with a table: one per column, texts for categories."""
    return [
        (str(name), (StringTensorType if entry["type"] == "category" else FloatTensorType)([None, 1]))
        for name, entry in zip(model.feature_names_in_, signature["inputs"], strict=True)
    ]


def fitting(model: Any, signature: dict[str, Any]) -> dict[str, Any]:
    """Return the signature of the converted model.

    Raises:
        PantheonError: it does not match the model.
    """
    task = task_of(model)
    if signature.get("task") != task:
        raise PantheonError(f"the signature says {signature.get('task')!r}, but the model is for {task}.")
    inputs = signature.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != model.n_features_in_:
        raise PantheonError(f"the model has {model.n_features_in_} inputs, but the signature has another number.")
    names = names_of(model)
    if names and names != [entry.get("name") for entry in inputs]:
        raise PantheonError(
            "the signature's inputs are not those that the model was fitted with, in that order.",
            f"They are: {', '.join(names[:20])}.",
        )
    if task == "classification":
        known, classes = np.asarray(model.classes_).tolist(), (signature.get("output") or {}).get("classes")
        if classes != known and not (isinstance(classes, list) and known == list(range(len(classes)))):
            raise PantheonError(f"the signature's classes are {classes}, but the model's are {known}, in that order.")
    return {key: value for key, value in signature.items() if key != "onnx"}  # its ends are those of the conversion


def answers(model: Any, forms: Sequence[Any], task: str) -> NDArray[np.float64]:
    """Predict probabilities (rows, classes) or numbers (rows,), of the first of the rows' ``forms`` that it takes.

    Raises:
        PantheonError: the model has no probabilities, or more than one number per row.
    """
    if task == "classification" and not hasattr(model, "predict_proba"):
        raise PantheonError(
            f"{title(model)} has no probabilities.", "Wrap it: CalibratedClassifierCV(model).fit(X, y)."
        )
    for X in forms:
        try:
            found = np.asarray((model.predict_proba if task == "classification" else model.predict)(X), np.float64)
            break
        except MemoryError:
            raise
        except Exception as error:  # of any estimator, for values that it does not take
            if X is not forms[-1]:
                continue
            raise PantheonError(
                f"{title(model)} fails for values that its signature allows: {first_line(error)}.",
                "Describe its inputs more closely: `--signature signature.json` with types, categories, min and max.",
            ) from error
    if task == "classification":
        return found
    if found.ndim != 1 and found.shape[1:] != (1,):
        raise PantheonError("the model answers with several numbers a row; one is served.")
    return found.reshape(-1)


def converted_by_skl2onnx(model: Any, kinds: list[tuple[str, Any]], task: str) -> Any:
    """Convert the model to ONNX with these inputs.

    Raises:
        PantheonError: skl2onnx does not convert it.
    """
    # As scikit-learn scales: by default the converter rounds differently, and trees behind it decide otherwise.
    options: dict[Any, Any] = {StandardScaler: {"div": "div"}}
    if task == "classification":
        options[id(model)] = {"zipmap": False}
    try:
        return convert_sklearn(
            model, initial_types=kinds, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET}, options=options
        )
    except MemoryError:
        raise
    except Exception as error:  # converters can raise any error
        raise PantheonError(
            f"{title(model)} cannot be converted to ONNX: {reason(error)}.",
            "Export it to ONNX yourself and publish that, or use an estimator that skl2onnx converts.",
            1,
        ) from error


def reason(error: Exception) -> str:
    """Return why a converter failed; one that does not exist is named with its estimator."""
    missing = re.search(r"(?:for type|for) '<class '([\w.]+)'>'", str(error))
    if missing:
        where, _, what = missing[1].rpartition(".")
        return f"there is no converter for {what} (of {where})"
    return first_line(error).rstrip(".")
