"""evaluate: the best of selection and tuning, fitted on the whole training part and asked about the held-out rows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np

from pantheon.workflow import interrupt
from pantheon.workflow.agreement import ask, session
from pantheon.workflow.candidates import BASELINE, Fitted, Prepared, candidates, fit
from pantheon.workflow.fits import Task, one_thread, side_by_side, worth
from pantheon.workflow.folds import sample
from pantheon.workflow.matrix import Floats, load_spec, save, train_and_test
from pantheon.workflow.metrics import Doubles
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run, read_json, write_json

CHOSEN = "chosen"
ONNX = "evaluation/chosen.onnx"  # instead of chosen.joblib, where only another environment could load that


def model_of(run: Run) -> Callable[[Floats], Doubles]:
    """The chosen model of a run: asked about rows of the inputs' matrix, it answers as ``Fitted.predict`` does."""
    if run.path(ONNX).exists():
        return partial(ask, session(run.path(ONNX)))
    candidates(run, load_spec(run).task)  # a user's own estimator is loaded by their file
    model: Fitted = joblib.load(run.need("evaluation/chosen.joblib", "evaluate"))
    return model.predict


def ranked(selection: dict[str, Any], tuning: dict[str, Any]) -> list[dict[str, Any]]:
    """Every configuration, the best mean on the folds that selection and tuning share first.

    Returns:
        ``{"name", "params", "tuned", "mean", "std", "folds"}`` each; ``folds`` are all scores that there are of it.
    """
    greater, shared = selection["greater_is_better"], tuning["folds"]
    entries = []
    for entry in selection["ranking"]:
        if entry["name"] != BASELINE:
            entries.append({"name": entry["name"], "params": {}, "tuned": False, "folds": entry["folds"]})
    for name, family in tuning["families"].items():
        if family["best"]:
            entries.append(
                {"name": name, "params": family["best"]["params"], "tuned": True, "folds": family["best"]["folds"]}
            )
    entries.sort(
        key=lambda entry: float(np.mean(entry["folds"][:shared])), reverse=greater
    )  # of equals: defaults first
    return [entry | {"mean": float(np.mean(entry["folds"])), "std": float(np.std(entry["folds"]))} for entry in entries]


def choose(selection: dict[str, Any], tuning: dict[str, Any]) -> dict[str, Any]:
    """The best of ``ranked``."""
    return ranked(selection, tuning)[0]


def evaluate(run: Run) -> dict[str, Any]:
    """``selection.json``, ``tuning.json`` → ``evaluation/chosen.joblib``, ``evaluation/chosen.json`` and what every
    model answers to the held-out rows (``evaluation/test.npz``; the chosen one's to training rows: ``train.npz``).
    """
    selection = read_json(run.need("selection.json", "model_selection"))
    tuning = read_json(run.need("tuning.json", "hyperparameter_tuning"))
    design, params = Design.load(run), run.params
    families = candidates(run, design.task)
    chosen = choose(selection, tuning)
    train, test = train_and_test(run)
    threads = worth(len(train), params.threads)
    with one_thread():
        if chosen["tuned"]:
            rows = Prepared.fit(design, train, params.seed)
            model = fit(families[chosen["name"]], chosen["params"], rows, params.seed, threads)
        else:  # train fitted just this one, on just these rows
            model = joblib.load(run.need(f"candidates/{chosen['name']}.joblib", "train"))
    interrupt.check()
    seen = sample(train, params.tuning_rows, params.seed)

    def others(name: str) -> Any:
        fitted: Fitted = joblib.load(run.need(f"candidates/{name}.joblib", "train"))
        return fitted.predict(test.X)

    tasks = [
        Task(partial(model.predict, test.X), free=True),
        Task(partial(model.predict, seen.X), free=True),
        *(Task(partial(others, name), free=True) for name in families),
    ]
    answers = side_by_side(tasks, threads)
    run.path(ONNX).unlink(missing_ok=True)  # of a model that was made elsewhere before
    with run.output("evaluation/chosen.joblib") as path:
        joblib.dump(model, path)
    with run.output("evaluation/test.npz") as path, path.open("wb") as file:
        save(file, {"y": test.y, CHOSEN: answers[0], **dict(zip(families, answers[2:], strict=True))})
    with run.output("evaluation/train.npz") as path, path.open("wb") as file:
        save(file, {"y": seen.y, CHOSEN: answers[1]})
    write_json(
        run.path("evaluation/chosen.json"),
        chosen | {"metric": selection["metric"], "reproducible": tuning["reproducible"]},
    )
    return {
        "chosen": chosen["name"],
        "tuned": chosen["tuned"],
        "params": {k: _short(v) for k, v in chosen["params"].items()},
    }


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
