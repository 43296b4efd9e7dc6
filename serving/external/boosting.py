"""Convert models of XGBoost and LightGBM to ONNX: their own files, and estimators in a pickle."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import xgboost
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common import data_types
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as lightgbm_converter
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as xgboost_converter
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from pantheon.errors import PantheonError
from serving.external import estimators
from serving.external.converted import Converted
from serving.external.samples import ROWS, first_line, mixed

OPSET = 15  # the newest that onnxmltools writes by itself
OWN_RULE = "its objective is a function of its author, so the file does not say what its numbers mean"
EXPORT = "Train it with one of the library's objectives, or export it to ONNX yourself and publish that."


def xgboost_file(path: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Convert a model in XGBoost's own format, JSON or UBJSON; arguments as for ``estimators.convert``.

    Raises:
        PantheonError: it is not such a file, or is not converted.
    """
    try:
        booster = xgboost.Booster(model_file=str(path))
        objective = objective_of(booster)
        refuse(f"{file} (XGBoost)", objective)
        classes = objective.startswith(("binary:", "multi:"))
        model = xgboost.XGBClassifier() if classes else xgboost.XGBRegressor()
        model.load_model(str(path))
    except xgboost.core.XGBoostError as error:
        raise PantheonError(
            f"{file} is not a model that XGBoost {xgboost.__version__} reads: {reason(error)}.",
            "Save it with model.save_model('model.json').",
        ) from error
    return convert(model, [model], signature, name)


def convert(model: Any, inner: list[Any], signature: dict[str, Any] | None, name: str) -> Converted:
    """Convert an estimator of one of the libraries, or one of scikit-learn with those of ``inner`` in it.

    Raises:
        PantheonError: it does not match the signature, or cannot be converted.
    """
    check(inner)
    register()
    packages = ["onnxmltools", *{estimators.package_of(each): None for each in inner}]
    if inner != [model]:
        made = estimators.fitting(model, signature or estimators.derived(model, name))
        X, table = mixed(made["inputs"], ROWS), estimators.names_of(model) is not None
        forget_names(inner)
        return estimators.converted(model, made, X, table=table, packages=packages)
    made = estimators.fitting(model, signature or missing_too(estimators.derived(model, name)))
    X = mixed(limited(made["inputs"], ranges(model)), ROWS)
    forget_names(inner)
    return estimators.converted(model, made, X, table=False, what=title(model), packages=packages)


def lightgbm_file(path: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Convert a model in LightGBM's text format; arguments as for ``estimators.convert``.

    Raises:
        PantheonError: it is not such a file, or is not converted.
    """
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise PantheonError(
            f"{file} is not a model that LightGBM {lightgbm.__version__} reads: {first_line(error)}.",
            "Save it with booster.save_model('model.txt').",
        ) from error
    objective = str(booster.dump_model(num_iteration=1).get("objective") or "").partition(" ")[0]
    refuse(f"{file} (LightGBM)", objective or "none")
    facts = SimpleNamespace(n_features_in_=booster.num_feature(), feature_names_in_=booster.feature_name())
    if objective in ("binary", "multiclass", "multiclassova"):
        facts.classes_ = np.arange(max(2, booster.num_model_per_iteration()))
    signature = estimators.fitting(facts, signature or missing_too(estimators.derived(facts, name)))
    X = mixed(limited(signature["inputs"], ranges(booster)), ROWS)
    expected = np.asarray(booster.predict(X), dtype=np.float64)
    if objective == "binary":
        expected = np.stack([1 - expected, expected], axis=1)
    elif objective == "multiclassova":  # as the converter and scikit-learn do: of one class only
        expected /= expected.sum(axis=1, keepdims=True)
    kinds = [("X", data_types.FloatTensorType([None, booster.num_feature()]))]
    try:
        made = convert_lightgbm(booster, initial_types=kinds, target_opset=OPSET, zipmap=False)
    except Exception as error:  # converters can raise any error
        raise PantheonError(
            f"{file} cannot be converted to ONNX: {estimators.reason(error)}.",
            "Export it to ONNX yourself and publish that.",
            1,
        ) from error
    if signature["task"] == "classification":
        del made.graph.output[0]
    return Converted("LightGBM", made.SerializeToString(), signature, X, expected, ["lightgbm", "onnxmltools", "onnx"])


def own_format(booster: Any, folder: Path) -> Path | None:
    """Save a Booster of a pickle in its library's format; None if it is something else."""
    if isinstance(booster, xgboost.Booster):
        path = folder / "model.ubj"
    elif isinstance(booster, lightgbm.Booster):
        path = folder / "model.txt"
    else:
        return None
    booster.save_model(str(path))
    return path


def register() -> None:
    """Let skl2onnx convert the estimators, alone and within those of scikit-learn."""
    shares = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    numbers, classes = calculate_linear_regressor_output_shapes, calculate_linear_classifier_output_shapes
    for kind, rule in (
        (xgboost.XGBClassifier, xgboost_converter),
        (xgboost.XGBRFClassifier, xgboost_converter),
        (lightgbm.LGBMClassifier, lightgbm_converter),
    ):
        update_registered_converter(kind, alias(kind), classes, rule, options=shares)
    for kind in (xgboost.XGBRegressor, xgboost.XGBRFRegressor):
        update_registered_converter(kind, alias(kind), numbers, xgboost_converter)
    update_registered_converter(
        lightgbm.LGBMRegressor, alias(lightgbm.LGBMRegressor), numbers, lightgbm_converter, options={"split": None}
    )


def alias(kind: type) -> str:
    library = "XGBoost" if kind.__module__.startswith("xgboost") else "LightGbm"
    return f"{library}{kind.__name__}"  # as onnxmltools calls them


def title(model: Any) -> str:
    return "XGBoost" if estimators.package_of(model) == "xgboost" else "LightGBM"


def check(models: list[Any]) -> None:
    """Raise PantheonError for an estimator that onnxmltools does not convert, or converts to something else."""
    for model in models:
        what = f"{type(model).__name__} ({title(model)})"
        if callable(getattr(model, "objective", None)):
            raise PantheonError(f"{what} cannot be converted to ONNX: {OWN_RULE}.", EXPORT)
        if title(model) == "LightGBM":
            refuse(what, str(model.objective_))
            continue
        booster = model.get_booster()
        refuse(what, objective_of(booster))
        kind = settings(booster)["gradient_booster"]["name"]
        if kind != "gbtree":
            raise PantheonError(
                f"{what} cannot be converted to ONNX: onnxmltools converts the booster gbtree, not {kind}.",
                "Train it with booster='gbtree'.",
            )
        if "c" in (booster.feature_types or []):
            raise PantheonError(
                f"{what} cannot be converted to ONNX: it splits by categories, which onnxmltools does not convert.",
                "Encode them before it, such as with OneHotEncoder in a Pipeline.",
            )


def refuse(what: str, objective: str) -> None:
    """Raise PantheonError for an objective whose numbers are neither probabilities nor a quantity."""
    if objective in ("none", "custom"):
        raise PantheonError(f"{what} cannot be converted to ONNX: {OWN_RULE}.", EXPORT)
    if objective.startswith("rank") or objective == "lambdarank":
        raise PantheonError(
            f"{what} ranks rows ({objective}): a row has no prediction by itself.", "Publish a classifier or regressor."
        )
    if objective in ("binary:hinge", "binary:logitraw"):
        raise PantheonError(f"{what} has no probabilities ({objective}).", "Train it with binary:logistic.")


def settings(booster: Any) -> dict[str, Any]:
    """Return the ``learner`` of an XGBoost Booster's configuration."""
    found: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return found


def objective_of(booster: Any) -> str:
    return str(settings(booster)["objective"]["name"])


def forget_names(models: list[Any]) -> None:
    """Remove the columns' names from XGBoost's models: onnxmltools understands only f0, f1 …"""
    for model in models:
        if title(model) == "XGBoost":
            model.get_booster().feature_names = None


def missing_too(signature: dict[str, Any]) -> dict[str, Any]:
    """Return a signature that was worked out, with inputs that may be missing: trees know what to do then."""
    inputs = [each | {"nullable": True} if each["type"] == "number" else each for each in signature["inputs"]]
    return signature | {"inputs": inputs}


def limited(inputs: list[dict[str, Any]], found: dict[int, dict[str, float]]) -> list[dict[str, Any]]:
    """Return inputs with the ranges in which the model decides, to ask it about; limits that they have stay."""
    return [
        entry if {"min", "max"} & entry.keys() else entry | found.get(place, {}) for place, entry in enumerate(inputs)
    ]


def ranges(model: Any) -> dict[int, dict[str, float]]:
    """Return, by column, the range in which a model decides, slightly widened; columns that it ignores are left out."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    if isinstance(model, lightgbm.Booster) or title(model) == "LightGBM":
        text = (model if isinstance(model, lightgbm.Booster) else model.booster_).model_to_string(num_iteration=1)
        infos = re.search(r"^feature_infos=(.*)$", text, flags=re.M)
        for place, info in enumerate(infos[1].split() if infos else []):
            if numbers := [float(each) for each in re.findall(r"-?[\d.]+(?:e[-+]?\d+)?", info)]:
                low[place], high[place] = min(numbers), max(numbers)
    else:
        learner = json.loads(model.get_booster().save_raw("json"))["learner"]
        for tree in learner["gradient_booster"]["model"]["trees"]:
            nodes = zip(tree["split_indices"], tree["split_conditions"], tree["left_children"], strict=True)
            for place, value, child in nodes:
                if child != -1:
                    low[place], high[place] = min(low.get(place, value), value), max(high.get(place, value), value)
    found = {}
    for place in low:
        margin = 0.1 * (high[place] - low[place]) or max(1.0, abs(low[place]))
        found[place] = {"min": low[place] - margin, "max": high[place] + margin}
    return found


def reason(error: Exception) -> str:
    """Return the sentence of an XGBoost error, which is followed by a stack trace and preceded by a place."""
    return re.sub(r"^\[[\d:]+\]\s*\S+:\d+:\s*", "", first_line(error)).rstrip(".")
