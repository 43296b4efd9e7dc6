"""Check whether a model built elsewhere can be served, as strictly as models of the workflow.

What will serve it checks it: the button's own predictor loads it, its form and its API's description are built, and it
is asked about rows that its signature allows.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow.bundle.agreement import OFF, SHARE, TIE, Agreement, agreement
from serving.external.samples import ROWS, first_line, rows

MODEL_BYTES, TEXT_BYTES, FILE_BYTES = 64_000_000, 1_000_000, 16_000_000
KNOWN = ("model.onnx", "signature.json", "metrics.json", "card.md", "lineage.json", "reference.json", "features.json")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        PantheonError: the file is missing, too large or not a JSON object.
    """
    try:
        if path.stat().st_size > TEXT_BYTES:
            raise PantheonError(f"{path.name} is larger than {TEXT_BYTES / 1e6:.0f} MB.")
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=no_number, parse_float=finite)
    except FileNotFoundError:
        raise PantheonError(f"{path.name} is missing.", "Describe the inputs in a signature: --signature.") from None
    except ValueError as error:
        raise PantheonError(f"{path.name} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise PantheonError(f"{path.name} is not a JSON object.")
    return value


def no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def finite(text: str) -> float:
    """Convert a JSON number to a float; numbers that overflow, such as 1e999, are rejected."""
    value = float(text)
    return value if math.isfinite(value) else no_number(text)


def limits(bundle: Path) -> None:
    """Raise PantheonError for files that are too large or do not belong to a bundle."""
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        name = path.relative_to(bundle).as_posix()
        picture = name.startswith("plots/") and path.suffix in (".svg", ".png") and name.count("/") == 1
        if name not in KNOWN and not picture:
            raise PantheonError(
                f"{name} does not belong to a bundle.", f"A bundle has {', '.join(KNOWN)} and plots/*.svg, *.png."
            )
        most = MODEL_BYTES if name == "model.onnx" else FILE_BYTES if picture else TEXT_BYTES
        if path.stat().st_size > most:
            raise PantheonError(f"{name} has {path.stat().st_size / 1e6:.0f} MB.", f"At most {most / 1e6:.0f} MB.")


def check_graph(path: Path) -> None:
    """Run ONNX's checker, and check that all weights are in the file itself.

    Raises:
        PantheonError: it is not a valid model.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        tensors = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
        if not tensors:
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # protobuf's and ONNX's errors have no common base class
        raise PantheonError(f"the ONNX model is not valid: {first_line(error)}") from error
    if tensors:
        raise PantheonError(
            f"the ONNX model stores weights in another file ({tensors[0].name}).",
            "Save it as one file: onnx.save(model, path, save_as_external_data=False).",
        )


def try_out(bundle: Path, name: str) -> int:
    """Serve the bundle with the button's code. Return the number of predicted rows.

    Raises:
        PantheonError: model and signature do not match, or a prediction is invalid.
    """
    from serving.endpoint.openapi import document
    from serving.model.predictor import BrokenBundle, Predictor
    from serving.page.answer import spoken
    from serving.page.form import controls
    from serving.problems import Problem

    try:
        predictor = Predictor(bundle, name, "new")
        check_output(predictor.signature.raw)
        X = rows(predictor.signature.raw["inputs"], ROWS)
        answer = predictor.run(X, deadline=math.inf)  # the process that checks has limits of its own
        if answer.probabilities is not None:
            check_classes(predictor.signature.classes, answer.prediction, np.array(answer.probabilities))
        controls(predictor.signature, None)
        document(predictor, 1)
        spoken(predictor, predictor.run(X[:1]))
    except PantheonError:
        raise
    except (BrokenBundle, Problem) as error:
        raise PantheonError(f"the model does not match its signature: {error}".replace("version new: ", "")) from error
    except Exception as error:  # a malformed signature can cause any error
        raise PantheonError(f"the signature cannot be served: {first_line(error)}") from error
    return len(X)


def compare(model: Path, expected: Path, origin: str) -> dict[str, Any]:
    """Compare a converted model in the served form with the answers of the original, and return the result.

    Args:
        expected: ``X`` and ``expected``, as ``conversion`` writes them.
        origin: the original library's name.

    Raises:
        PantheonError: they differ, or the answers have another form.
    """
    try:
        with np.load(expected, allow_pickle=False) as arrays:
            X, answers = arrays["X"].astype(np.float32), arrays["expected"].astype(np.float64)
        result: Agreement = agreement(model, X, answers)
    except PantheonError:
        raise
    except Exception as error:  # NumPy's and ONNX Runtime's, for arrays of another form
        raise PantheonError(
            f"the converted model cannot be compared with {origin}: {first_line(error)}.",
            "Describe its inputs and classes: add --signature signature.json.",
        ) from error
    differs = f"another class in {result.labels_differ}" if result.labels_differ else ""
    if result.off > SHARE * result.rows:
        differs = differs or f"something else (by up to {result.greatest:.3g}, allowed are {OFF}) in {result.off}"
    if differs:
        raise PantheonError(
            f"the converter is not exact: the ONNX model predicts {differs} of {result.rows} rows than {origin}.",
            "Nothing was published. Export it to ONNX yourself and publish that, or train it in a simpler form.",
            1,
        )
    return dict(result.as_dict())


def check_output(signature: dict[str, Any]) -> None:
    """Raise PantheonError if the page could not describe the output."""
    output = signature["output"]
    if not isinstance(output.get("name"), str) or not output["name"]:
        raise PantheonError("the signature's output has no name.")
    if not isinstance(output.get("labels", {}), dict):
        raise PantheonError("the signature's labels are not an object that maps classes to texts.")
    if signature["task"] == "classification":
        classes = output.get("classes")
        plain = isinstance(classes, list) and all(isinstance(c, (str, int)) for c in classes)
        if not plain or len(set(map(str, classes))) != len(classes) or len(classes) < 2:
            raise PantheonError("the signature's classes are not two or more different texts or whole numbers.")
        if "positive" in output and output["positive"] not in classes:
            raise PantheonError("the signature's positive class is none of its classes.")


def check_classes(classes: list[Any], labels: list[Any], probabilities: Any) -> None:
    """Raise PantheonError if labels and probabilities contradict each other."""
    if probabilities.shape != (len(labels), len(classes)):
        raise PantheonError(
            f"the model has {probabilities.shape[1]} probabilities, but its signature has {len(classes)} classes."
        )
    if (probabilities < -1e-5).any() or (abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        raise PantheonError("the model's probabilities do not add up to 1.", "Its second output must be probabilities.")
    top = np.sort(probabilities, axis=1)
    clear = top[:, -1] - top[:, -2] > TIE
    likeliest = probabilities.argmax(axis=1)
    for row in np.flatnonzero(clear):
        if classes[likeliest[row]] != labels[row]:
            raise PantheonError(
                f"the model's label ({labels[row]!r}) is not its likeliest class ({classes[likeliest[row]]!r}).",
                "Its first output must be the index of the class in the signature's classes, int64, from 0.",
            )


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a bundle's ``metrics.json``, or create an empty one; check the form of the values that the page shows.

    Raises:
        PantheonError: a value has another form.
    """
    if not path.exists():
        write_json(path, {})
        return {}
    metrics = read_object(path)

    def scores(value: Any) -> bool:
        return isinstance(value, dict) and all(v is None or isinstance(v, (int, float)) for v in value.values())

    def objects(value: Any, *names: str) -> bool:
        return isinstance(value, list) and all(isinstance(v, dict) and all(n in v for n in names) for v in value)

    fits: dict[str, Callable[[Any], bool]] = {
        "held_out": scores,
        "train": scores,
        "baseline": scores,
        "rows": scores,
        "primary": lambda v: isinstance(v, dict) and isinstance(v.get("name"), str),
        "candidates": lambda v: objects(v, "name") and all(scores(c.get("held_out") or {}) for c in v),
        "slices": lambda v: objects(v, "column", "value", "rows") and all(scores(c.get("metrics") or {}) for c in v),
        "calibration": lambda v: objects(v, "predicted", "observed", "rows"),
        "warnings": lambda v: isinstance(v, list),
        "overfitting": lambda v: isinstance(v, dict),
    }
    for key, fit in fits.items():
        if metrics.get(key) is not None and not fit(metrics[key]):
            raise PantheonError(
                f"metrics.json: {key} does not have the form of a Pantheon bundle.", "Remove it, or the file."
            )
    return metrics


def sha256(path: Path) -> str:
    try:
        return files.sha256(path)
    except FileNotFoundError:
        raise PantheonError(f"{path.name} is missing.") from None
