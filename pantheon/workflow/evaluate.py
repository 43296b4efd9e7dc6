"""evaluate: the best of selection and tuning, fitted on the whole training part and asked about the held-out rows."""

from functools import partial
from typing import Any

import joblib
import numpy as np

from pantheon.workflow import interrupt
from pantheon.workflow.candidates import BASELINE, Fitted, Prepared, candidates, fit
from pantheon.workflow.fits import Task, one_thread, side_by_side, worth
from pantheon.workflow.folds import sample
from pantheon.workflow.matrix import save, train_and_test
from pantheon.workflow.metrics import better
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run, read_json, write_json

CHOSEN = "chosen"


def choose(selection: dict[str, Any], tuning: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the best mean on the folds that selection and tuning share.

    Returns:
        ``{"name", "params", "tuned", "mean", "std", "folds"}``; ``folds`` are all scores that there are of it.
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
    best = entries[0]
    for entry in entries[1:]:  # the first of equals: defaults before tuned ones
        if better(float(np.mean(entry["folds"][:shared])), float(np.mean(best["folds"][:shared])), greater) > 0:
            best = entry
    return best | {"mean": float(np.mean(best["folds"])), "std": float(np.std(best["folds"]))}


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
