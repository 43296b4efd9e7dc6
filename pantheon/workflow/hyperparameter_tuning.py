"""hyperparameter_tuning: search each family's main parameters with Optuna, beside model_selection."""

import time
from functools import partial
from typing import Any

import numpy as np
import optuna

from pantheon.workflow import interrupt
from pantheon.workflow.candidates import Candidate, candidates
from pantheon.workflow.crossval import CrossValidation
from pantheon.workflow.fits import in_threads
from pantheon.workflow.run import Run, write_json

FOLDS = 3  # the first of the run's folds: enough to choose by, at 3/5 of the cost


def hyperparameter_tuning(run: Run) -> dict[str, Any]:
    """``candidates.json`` → ``tuning.json``: for each family that has a space, its trials and the best of them.

    Each family is searched by a sampler of its own, one trial after another, so the number of threads changes nothing.
    The number of trials decides; ``time_limit`` is a safety net, and a run that reaches it says so.
    """
    run.need("candidates.json", "train")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = CrossValidation(run, min(FOLDS, run.params.folds))
    searched = [family for family in candidates(run, folds.design.task).values() if family.space]
    end = time.monotonic() + folds.params.time_limit
    found = in_threads([partial(_search, family, folds, end) for family in searched])
    reproducible = all(len(entry["trials"]) == folds.params.trials for entry in found)
    write_json(
        run.path("tuning.json"),
        {
            "metric": folds.metric,
            "folds": len(folds.splits),
            "reproducible": reproducible,
            "families": {family.name: entry for family, entry in zip(searched, found, strict=True)},
        },
    )
    return {
        "trials": sum(len(entry["trials"]) for entry in found),
        "reproducible": reproducible,
        **{
            family.name: round(entry["best"]["mean"], 4)
            for family, entry in zip(searched, found, strict=True)
            if entry["best"]
        },
    }


def _search(family: Candidate, folds: CrossValidation, end: float) -> dict[str, Any]:
    trials = folds.params.trials
    sampler = optuna.samplers.TPESampler(seed=folds.params.seed, n_startup_trials=max(1, trials // 2))
    study = optuna.create_study(direction="maximize" if folds.greater else "minimize", sampler=sampler)
    log: list[dict[str, Any]] = []
    for number in range(trials):
        interrupt.check()
        if time.monotonic() >= end:
            break
        trial = study.ask()
        params = {key: suggest(trial, key, choice) for key, choice in family.space.items()}
        values = folds.all(family, params)
        mean = float(np.mean(values))
        study.tell(trial, mean)
        log.append({"number": number, "params": params, "mean": mean, "folds": values})
    best = (max if folds.greater else min)(log, key=lambda entry: entry["mean"]) if log else None
    return {"best": best, "trials": log}


def suggest(trial: optuna.Trial, name: str, choice: Any) -> Any:
    """A value of a space: (low, high) whole or not, (low, high, "log"), or one of a list."""
    if isinstance(choice, list):
        return trial.suggest_categorical(name, choice)
    low, high, *log = choice
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=bool(log))
    return trial.suggest_float(name, low, high, log=bool(log))
