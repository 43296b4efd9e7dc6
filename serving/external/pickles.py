"""Load and convert the model in a pickle, of scikit-learn, XGBoost or LightGBM. Loading runs the code in it."""

import warnings
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning

from pantheon.errors import PantheonError
from serving.external import estimators
from serving.external.converted import Converted
from serving.external.samples import first_line

CURE = "Export it to ONNX in the original environment, and publish that."
BOOSTERS = ("xgboost", "lightgbm")
CURES = {
    "__main__": "It uses code of a script or notebook: train it with importable classes, or export it to ONNX there.",
    "catboost": "CatBoost exports ONNX itself: model.save_model('model.onnx', format='onnx'). Publish that.",
    "torch": "PyTorch exports ONNX itself: torch.onnx.export(model, example, 'model.onnx'). Publish that.",
    "tensorflow": "Save it as model.keras, and publish that.",
    "keras": "Save it as model.keras, and publish that.",
}


def convert(path: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Load and convert the model in a pickle, and ask it about rows.

    Args:
        signature: what its inputs and output are; None: worked out from the names and classes that it was fitted with.
        file: what people call the pickle.

    Raises:
        PantheonError: it cannot be loaded here or converted.
    """
    model = load(path, file)
    inner = boosters_in(model)
    if inner:
        from serving.external import boosting  # only its environment has the packages

        if own := boosting.own_format(model, path.parent):
            convert_own = boosting.xgboost_file if own.suffix == ".ubj" else boosting.lightgbm_file
            return convert_own(own, signature, name, file)
        check(model, file)
        return boosting.convert(model, inner, signature, name)
    check(model, file)
    return estimators.convert(model, signature, name)


def boosters_in(model: Any, depth: int = 6) -> list[Any]:
    """Return the fitted models of XGBoost and LightGBM in a model, such as in a Pipeline; itself, if it is one."""
    package = type(model).__module__.partition(".")[0]
    if package in BOOSTERS:
        return [model] if not isinstance(model, BaseEstimator) or model.__sklearn_is_fitted__() else []
    if not depth:
        return []
    parts = model if isinstance(model, (list, tuple)) else model.values() if isinstance(model, dict) else []
    if package == "sklearn":
        parts = getattr(model, "__dict__", {}).values()
    found = [each for part in parts for each in boosters_in(part, depth - 1)]
    return list({id(each): each for each in found}.values())


def load(path: Path, file: str) -> Any:
    """Load the content of a pickle.

    Raises:
        PantheonError: it cannot be loaded, or needs another scikit-learn version.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(path)
    except InconsistentVersionWarning as error:
        raise PantheonError(
            f"{file} was made with scikit-learn {error.original_sklearn_version}, but this environment has "
            f"{error.current_sklearn_version}: predictions could differ.",
            CURE,
        ) from error
    except MemoryError:
        raise
    except ModuleNotFoundError as error:
        raise PantheonError(
            f"{file} needs the package {error.name}, which is not one that models are converted with.",
            CURES.get(str(error.name).partition(".")[0], CURE),
        ) from error
    except Exception as error:  # a pickle can fail in any way
        raise PantheonError(
            f"{file} cannot be loaded here: {type(error).__name__}: {first_line(error)}.", CURE
        ) from error
    return model


def check(model: Any, file: str) -> None:
    """Raise PantheonError if it is not a fitted classifier or regressor."""
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
