"""hyperparameter_tuning: search the main parameters of every family with Optuna, in parallel to model_selection."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optuna

from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.outputs import Search, Summary, Trial, Tuning
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Candidate, candidates
from pantheon.workflow.training.crossval import CrossValidation
from pantheon.workflow.training.parallel import in_threads

FOLDS = 3  # the first folds of the run: enough to choose parameters, at 3/5 of the cost


def hyperparameter_tuning(run: Run) -> Summary:
    """``candidates.json`` → ``tuning.json``: the trials of every family with a search space, and the best of them.

    Every family has a separate sampler, and its trials run one after another, so the result does not depend on the
    number of threads. The search ends after ``trials``; ``time_limit`` is a safety net, and a run that reaches it is
    marked as not reproducible.
    """
    return tune(run, search)


def tune(run: Run, search: Callable[[Candidate, CrossValidation, float], Search]) -> Summary:
    """``hyperparameter_tuning`` with another way to search one family, which tries the same candidates.

    Args:
        search: called in a thread for each family, with the time (of ``time.monotonic``) at which it is to end.
    """
    run.need("candidates.json", "train")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = CrossValidation(run, min(FOLDS, run.params.folds))
    searched = [family for family in candidates(run, folds.design.task).values() if family.space]
    end = time.monotonic() + folds.params.time_limit
    searches = in_threads([partial(search, family, folds, end) for family in searched])
    reproducible = all(len(entry["trials"]) == folds.params.trials for entry in searches)
    tuning: Tuning = {
        "metric": folds.metric,
        "folds": len(folds.splits),
        "reproducible": reproducible,
        "families": {family.name: entry for family, entry in zip(searched, searches, strict=True)},
    }
    write_json(run.path("tuning.json"), tuning)
    return {
        "trials": sum(len(entry["trials"]) for entry in searches),
        "reproducible": reproducible,
        **{
            family.name: round(entry["best"]["mean"], 4)
            for family, entry in zip(searched, searches, strict=True)
            if entry["best"]
        },
    }


def startup_trials(trials: int) -> int:
    """Return how many of a family's trials are random."""
    return max(1, trials // 2)


def search(family: Candidate, folds: CrossValidation, end: float) -> Search:
    """Search one family, trial by trial."""
    trials = folds.params.trials
    sampler = optuna.samplers.TPESampler(seed=folds.params.seed, n_startup_trials=startup_trials(trials))
    study = optuna.create_study(direction="maximize" if folds.greater else "minimize", sampler=sampler)
    log: list[Trial] = []
    for number in range(trials):
        cancellation.check()
        if time.monotonic() >= end:
            break
        trial = study.ask()
        params = {key: suggest(trial, key, choice) for key, choice in family.space.items()}
        values = folds.all(family, params)
        mean = float(np.mean(values))
        study.tell(trial, mean)
        log.append({"number": number, "params": params, "mean": mean, "folds": values})
    return {"best": best_of(log, folds.greater), "trials": log}


def best_of(trials: list[Trial], greater: bool) -> Trial | None:
    """Return the first of the best trials; None if there is none."""
    return (max if greater else min)(trials, key=lambda entry: entry["mean"]) if trials else None


def suggest(trial: optuna.Trial, name: str, choice: Any) -> Any:
    """Suggest a value of a space: (low, high) of integers or floats, (low, high, "log"), or a list of choices."""
    if isinstance(choice, list):
        return trial.suggest_categorical(name, choice)
    low, high, *log = choice
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=bool(log))
    return trial.suggest_float(name, low, high, log=bool(log))
