"""The model bundle: everything that serving, a person and an auditor need, in one folder."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from pantheon.errors import PantheonError
from pantheon.workflow import interrupt
from pantheon.workflow.agreement import agreement, enforce
from pantheon.workflow.candidates import Fitted, candidates
from pantheon.workflow.card import card
from pantheon.workflow.evaluate import CHOSEN, ONNX
from pantheon.workflow.lineage import lineage
from pantheon.workflow.matrix import Floats, Table, load_spec
from pantheon.workflow.onnx_export import export
from pantheon.workflow.performance_metrics import positive_index, words
from pantheon.workflow.run import Run, read_json, write_json
from pantheon.workflow.spec import Spec, label_key

FORMAT = 1
CHECKED = 50_000  # rows that ONNX and scikit-learn are compared on, at most
CHECKED_AT_LEAST = 10_000  # with fewer held-out rows, training rows and rows with holes are added


def signature(spec: Spec, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """``signature.json``: what the model needs and what it answers."""
    output: dict[str, Any] = {"name": spec.target.column}
    if spec.task == "classification":
        classes = list(spec.target.classes)
        output |= {
            "type": "category",
            "classes": classes,
            "labels": {label_key(value): word for value, word in zip(classes, words(spec), strict=True)},
        }
        if len(classes) == 2:
            output["positive"] = classes[positive_index(spec)]
        outputs = ["label", "probabilities"]
    else:
        output |= {"type": "number", "unit": spec.target.unit}
        outputs = ["variable"]
    return {
        "format": FORMAT,
        "name": spec.name,
        "task": spec.task,
        "inputs": inputs,
        "output": output,
        "onnx": {"input": "features", "outputs": outputs},
    }


def rows_to_check(run: Run, inputs: list[dict[str, Any]], seed: int) -> Floats:
    """Held-out rows, training rows, and copies with holes wherever a caller may leave a value out."""
    test = Table.load(run.need("features/test.npz", "preprocess")).X[:CHECKED]
    if len(test) >= CHECKED_AT_LEAST:
        parts = [test]
    else:
        parts = [test, Table.load(run.need("features/train.npz", "preprocess")).X[: CHECKED_AT_LEAST - len(test)]]
    nullable = np.array([entry["nullable"] for entry in inputs])
    holes = parts[0][:5000].copy()
    holes[(np.random.default_rng(seed).random(holes.shape) < 0.3) & nullable] = np.nan
    return np.concatenate([*parts, holes])


def exported(run: Run) -> tuple[bytes, dict[str, Any]]:
    """A model that was converted where it was made, since only that environment can load it.

    There it was held to the rule that holds here, on the same rows; what it answered to the held-out rows is held to
    it again.

    Returns:
        The graph, and what to add to the lineage: ``agreement`` and who made it.

    Raises:
        PantheonError: the graph is not the one that was checked, or answers otherwise than its maker did.
    """
    chosen = read_json(run.need("evaluation/chosen.json", "evaluate"))
    model = run.path(ONNX).read_bytes()
    if hashlib.sha256(model).hexdigest() != chosen.get("onnx_sha256"):
        raise PantheonError(
            f"{ONNX} of run {run.id} is not the graph that was checked.", "Run the notebook that evaluates again.", 1
        )
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        answer = file[CHOSEN]
    enforce(agreement(run.path(ONNX), Table.load(run.need("features/test.npz", "preprocess")).X, answer))
    return model, {"agreement": chosen["agreement"], "pycaret": chosen["pycaret"]}


def write_bundle(run: Run) -> Path:
    """``evaluation/chosen.joblib`` (or ``.onnx``), ``metrics.json``, ``plots`` → ``bundle/``, complete or absent.

    Raises:
        PantheonError: ONNX and scikit-learn do not agree; nothing is written then.
    """
    spec = load_spec(run)
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    metrics = read_json(run.need("metrics.json", "performance_metrics"))
    if run.path(ONNX).exists():
        model, made = exported(run)
    else:
        candidates(run, spec.task)  # a user's own estimator is loaded by their file
        fitted: Fitted = joblib.load(run.need("evaluation/chosen.joblib", "evaluate"))
        onnx_model = export(fitted)
        interrupt.check()
        X = rows_to_check(run, inputs, run.params.seed)
        result = agreement(onnx_model, X, fitted.predict(X))
        enforce(result)
        model, made = onnx_model.SerializeToString(), {"agreement": result.as_dict()}
    interrupt.check()
    origin = lineage(run, spec) | made
    dropped = read_json(run.need("features/selected.json", "feature_selection"))["dropped"]
    with run.output("bundle") as folder:
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model)
        write_json(folder / "signature.json", signature(spec, inputs))
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "lineage.json", origin)
        text = card(spec.name, spec.description, signature(spec, inputs), metrics, origin, dropped)
        (folder / "card.md").write_text(text, encoding="utf-8")
        shutil.copytree(run.need("plots", "performance_metrics"), folder / "plots")
    return run.path("bundle")
