"""The model bundle: everything that serving, a person and an auditor need, in one folder."""

import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from pantheon.workflow import interrupt
from pantheon.workflow.agreement import agreement, enforce
from pantheon.workflow.candidates import Fitted, candidates
from pantheon.workflow.card import card
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


def write_bundle(run: Run) -> Path:
    """``evaluation/chosen.joblib``, ``metrics.json``, ``plots`` → ``bundle/``, complete or absent.

    Raises:
        PantheonError: ONNX and scikit-learn do not agree; nothing is written then.
    """
    spec = load_spec(run)
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    metrics = read_json(run.need("metrics.json", "performance_metrics"))
    candidates(run, spec.task)  # a user's own estimator is loaded by their file
    model: Fitted = joblib.load(run.need("evaluation/chosen.joblib", "evaluate"))
    onnx_model = export(model)
    interrupt.check()
    X = rows_to_check(run, inputs, run.params.seed)
    result = agreement(onnx_model, X, model.predict(X))
    enforce(result)
    interrupt.check()
    origin = lineage(run, spec) | {"agreement": result.as_dict()}
    dropped = read_json(run.need("features/selected.json", "feature_selection"))["dropped"]
    if run.path("bundle").exists():
        shutil.rmtree(run.path("bundle"))  # of an earlier deploy of this run
    with run.output("bundle") as folder:
        folder.mkdir()
        (folder / "model.onnx").write_bytes(onnx_model.SerializeToString())
        write_json(folder / "signature.json", signature(spec, inputs))
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "lineage.json", origin)
        text = card(spec.name, spec.description, signature(spec, inputs), metrics, origin, dropped)
        (folder / "card.md").write_text(text, encoding="utf-8")
        shutil.copytree(run.need("plots", "performance_metrics"), folder / "plots")
    return run.path("bundle")
