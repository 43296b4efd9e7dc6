"""evaluate: fit the best model of selection and tuning on the complete training part; predict the held-out rows."""

from functools import partial
from typing import Any

import joblib
import numpy as np

from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.outputs import (
    CHOSEN,
    CHOSEN_ONNX,
    Chosen,
    Configuration,
    ModelParams,
    Selection,
    Summary,
    Tuning,
)
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import BASELINE, Fitted, Prepared, candidates, fit
from pantheon.workflow.training.folds import sample
from pantheon.workflow.training.matrix import load_spec, save, train_and_test
from pantheon.workflow.training.parallel import Call, one_thread, run_parallel, threads_for
from pantheon.workflow.training.preparation import Design


def chosen_model(run: Run) -> Fitted:
    """Return a run's chosen model; a PyCaret model has only its ONNX graph, ``CHOSEN_ONNX``."""
    candidates(run, load_spec(run).task)  # registers the user's estimators, which joblib needs
    model: Fitted = joblib.load(run.need("evaluation/chosen.joblib", "evaluate"))
    return model


def ranked(selection: Selection, tuning: Tuning) -> list[Configuration]:
    """Rank all configurations by their mean on the folds that selection and tuning have in common, best first.

    Returns:
        The configurations; their ``folds`` are the scores of all folds that they were evaluated on.
    """
    greater, shared = selection["greater_is_better"], tuning["folds"]
    result: list[Configuration] = []

    def add(name: str, params: ModelParams, tuned: bool, folds: list[float]) -> None:
        mean, std = float(np.mean(folds)), float(np.std(folds))
        result.append({"name": name, "params": params, "tuned": tuned, "folds": folds, "mean": mean, "std": std})

    for entry in selection["ranking"]:
        if entry["name"] != BASELINE:
            add(entry["name"], {}, False, entry["folds"])
    for name, family in tuning["families"].items():
        if best := family["best"]:
            add(name, best["params"], True, best["folds"])
    return sorted(
        result, key=lambda one: float(np.mean(one["folds"][:shared])), reverse=greater
    )  # stable: of equal ones, the defaults first


def choose(selection: Selection, tuning: Tuning) -> Configuration:
    """Return the best configuration of ``ranked``."""
    return ranked(selection, tuning)[0]


def evaluate(run: Run) -> Summary:
    """``selection.json``, ``tuning.json`` → ``evaluation/chosen.joblib``, ``evaluation/chosen.json`` and the
    predictions of every model for the held-out rows, ``evaluation/test.npz`` (of the chosen model for training rows:
    ``train.npz``).
    """
    selection = run.read("selection.json", "model_selection", Selection)
    tuning = run.read("tuning.json", "hyperparameter_tuning", Tuning)
    design, params = Design.load(run), run.params
    families = candidates(run, design.task)
    chosen = choose(selection, tuning)
    train, test = train_and_test(run)
    threads = threads_for(train.X, params.threads)
    with one_thread():
        if chosen["tuned"]:
            rows = Prepared.fit(design, train, params.seed)
            model = fit(families[chosen["name"]], chosen["params"], rows, params.seed, threads)
        else:  # the stage train has fitted this one, on the same rows
            model = joblib.load(run.need(f"candidates/{chosen['name']}.joblib", "train"))
    cancellation.check()
    seen = sample(train, params.tuning_rows, params.seed)

    def others(name: str) -> Any:
        fitted: Fitted = joblib.load(run.need(f"candidates/{name}.joblib", "train"))
        return fitted.predict(test.X)

    tasks = [
        Call(partial(model.predict, test.X), free=True),
        Call(partial(model.predict, seen.X), free=True),
        *(Call(partial(others, name), free=True) for name in families),
    ]
    answers = run_parallel(tasks, threads)
    run.path(CHOSEN_ONNX).unlink(missing_ok=True)  # of an earlier model that PyCaret made
    with run.output("evaluation/chosen.joblib") as path:
        joblib.dump(model, path)
    with run.output("evaluation/test.npz") as path, path.open("wb") as file:
        save(file, {"y": test.y, CHOSEN: answers[0], **dict(zip(families, answers[2:], strict=True))})
    with run.output("evaluation/train.npz") as path, path.open("wb") as file:
        save(file, {"y": seen.y, CHOSEN: answers[1]})
    result: Chosen = {
        "name": chosen["name"],
        "params": chosen["params"],
        "tuned": chosen["tuned"],
        "folds": chosen["folds"],
        "mean": chosen["mean"],
        "std": chosen["std"],
        "metric": selection["metric"],
        "reproducible": tuning["reproducible"],
    }
    write_json(run.path("evaluation/chosen.json"), result)
    return {
        "chosen": chosen["name"],
        "tuned": chosen["tuned"],
        "params": {k: _short(v) for k, v in chosen["params"].items()},
    }


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
