"""Write the model bundle: one folder with everything that serving, users and auditors need."""

import hashlib
import shutil
from pathlib import Path

import joblib
import msgspec
import numpy as np

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.bundle.agreement import agreement, enforce
from pantheon.workflow.bundle.card import card
from pantheon.workflow.bundle.describe import describe
from pantheon.workflow.bundle.lineage import lineage
from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.bundle.records import STORED, Output, Signature, StoredFeatures
from pantheon.workflow.bundle.reference import FILE as REFERENCE
from pantheon.workflow.data.spec import Spec, label_key
from pantheon.workflow.outputs import (
    CHOSEN,
    CHOSEN_ONNX,
    Agreed,
    Chosen,
    Input,
    Metrics,
    Preprocessed,
    PyCaretOrigin,
    Selected,
)
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Fitted, candidates
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.origins import origins_of
from pantheon.workflow.training.signature import texts

FEATURES = "features.json"
FORMAT = 1
WITH_ORIGINS = 2  # servers that know no origins refuse it: their predictions would be wrong
CHECKED = 50_000  # rows on which ONNX and scikit-learn are compared, at most
CHECKED_AT_LEAST = 10_000  # with fewer held-out rows, training rows are added


def signature(spec: Spec, inputs: list[Input]) -> Signature:
    """Return the content of ``signature.json``: the model's inputs and output."""
    output: Output = {"name": spec.target.column}
    if spec.task == "classification":
        classes = list(spec.target.classes)
        output["type"] = "category"
        output["classes"] = classes
        output["labels"] = dict(zip(map(label_key, classes), spec.class_names, strict=True))
        if len(classes) == 2:
            output["positive"] = classes[spec.positive_index]
        outputs = ["label", "probabilities"]
    else:
        output["type"] = "number"
        output["unit"] = spec.target.unit
        outputs = ["variable"]
    result: Signature = {
        "format": FORMAT,
        "name": spec.name,
        "task": spec.task,
        "text": texts(spec.source),
        "inputs": inputs,
        "output": output,
        "onnx": {"input": "features", "outputs": outputs},
    }
    if origins_of(inputs):
        result["format"] = WITH_ORIGINS
    return result


def rows_to_check(run: Run, inputs: list[Input], seed: int) -> Floats:
    """Return held-out rows, training rows, and copies with missing values where a caller may omit them."""
    test = Table.load(run.need("features/test.npz", "preprocess")).X[:CHECKED]
    if len(test) >= CHECKED_AT_LEAST:
        parts = [test]
    else:
        parts = [test, Table.load(run.need("features/train.npz", "preprocess")).X[: CHECKED_AT_LEAST - len(test)]]
    nullable = np.array([entry["nullable"] for entry in inputs])
    holes = parts[0][:5000].copy()
    holes[(np.random.default_rng(seed).random(holes.shape) < 0.3) & nullable] = np.nan
    return np.concatenate([*parts, holes])


def exported(run: Run) -> tuple[bytes, Agreed, PyCaretOrigin]:
    """Return a PyCaret model, which was converted in PyCaret's environment, since only that one can load it.

    It passed the same check on the same rows in that environment; here, its predictions for the held-out rows are
    checked again.

    Returns:
        The graph; its agreement with the original model; and PyCaret's part of the lineage.

    Raises:
        PantheonError: the graph is not the one that was checked, or predicts differently from the original model.
    """
    chosen = run.read("evaluation/chosen.json", "evaluate", Chosen)
    model = run.path(CHOSEN_ONNX).read_bytes()
    if hashlib.sha256(model).hexdigest() != chosen.get("onnx_sha256"):
        raise PantheonError(
            f"{CHOSEN_ONNX} of run {run.id} is not the graph that was checked.",
            "Run the notebook of the stage evaluate again.",
            1,
        )
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        answer = file[CHOSEN]
    enforce(agreement(run.path(CHOSEN_ONNX), Table.load(run.need("features/test.npz", "preprocess")).X, answer))
    return model, chosen["agreement"], chosen["pycaret"]


def stored_features(run: Run) -> StoredFeatures | None:
    """Return where the model's features are in the feature store; None if the run has not used one."""
    return run.read(STORED, "train", StoredFeatures) if run.path(STORED).exists() else None


def write_bundle(run: Run) -> Path:
    """``evaluation/chosen.joblib`` (or ``.onnx``), ``metrics.json``, ``plots`` → ``bundle/``, complete or absent.

    Raises:
        PantheonError: ONNX and scikit-learn do not agree; nothing is written.
    """
    spec = load_spec(run)
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    metrics = run.read("metrics.json", "performance_metrics", Metrics)
    origin = lineage(run, spec)
    stored = stored_features(run)
    if stored:
        origin["features"] = {"service": stored["service"], "views": stored["views"]}
    if run.path(CHOSEN_ONNX).exists():
        model, origin["agreement"], origin["pycaret"] = exported(run)
    else:
        candidates(run, spec.task)  # registers the user's estimators, which joblib needs
        fitted: Fitted = joblib.load(run.need("evaluation/chosen.joblib", "evaluate"))
        onnx_model = export(fitted)
        cancellation.check()
        X = rows_to_check(run, inputs, run.params.seed)
        result = agreement(onnx_model, X, fitted.predict(X), fitted.rounding)
        enforce(result)
        model, origin["agreement"] = onnx_model.SerializeToString(), result.as_dict()
    cancellation.check()
    dropped = run.read("features/selected.json", "feature_selection", Selected)["dropped"]
    with run.output_folder("bundle") as folder:
        (folder / "model.onnx").write_bytes(model)
        write_json(folder / "signature.json", signature(spec, inputs))
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "lineage.json", origin)
        if stored:
            write_json(folder / FEATURES, stored)
        write_json(folder / REFERENCE, msgspec.to_builtins(describe(run, spec, inputs)))
        text = card(spec.name, spec.description, signature(spec, inputs), metrics, origin, dropped, stored)
        (folder / "card.md").write_text(text, encoding="utf-8")
        shutil.copytree(run.need("plots", "performance_metrics"), folder / "plots")
    return run.path("bundle")
