"""Tune one family with PyCaret's ``tune_model``."""

import json
from typing import Any

import numpy as np

from pantheon.pycaret.experiment import Folds, Lab, quiet, reason
from pantheon.workflow.outputs import ModelParams, Search, Trial

OWN = "run"  # the metric's name in PyCaret's table


def search(lab: Lab, model: str, folds: Folds) -> Search:
    """Search a family by random trials over PyCaret's grid.

    Returns:
        The successful trials and the best of them; ``why``: the reason if there is none.
    """
    # `optimize` accepts only PyCaret's names, which do not include ROC AUC of more than two classes; its internal table
    # accepts a custom scorer.
    table = {OWN: lab.scorer}
    lab.pycaret._CLF_OPTIMIZE_SKLEARN = lab.pycaret._REG_OPTIMIZE_SKLEARN = table
    try:
        with quiet():
            made = lab.pycaret.tune_model(
                model, fold=folds, n_iter=lab.params.trials, custom_grid=grid(lab, model), optimize=OWN, round=15
            )
    except Exception as error:  # noqa: BLE001 - the family keeps its defaults; record the reason
        return {"best": None, "trials": [], "why": reason(error)}
    if made.search is None:
        return {"best": None, "trials": [], "why": "PyCaret has no parameters to tune for it"}
    results = made.search.cv_results_
    trials: list[Trial] = []
    for number, params in enumerate(results["params"]):
        scores = [float(results[f"split{fold}_test_score"][number]) for fold in range(len(folds.pairs))]
        values = [lab.unscored(value) for value in scores if np.isfinite(value) and value > 0]
        if len(values) == len(scores):  # otherwise the trial failed
            trials.append({"number": number, "params": plain(params), "mean": float(np.mean(values)), "folds": values})
    pick = max if lab.greater else min
    best = pick(trials, key=lambda trial: trial["mean"]) if trials else None
    return {"best": best, "trials": trials, "why": "" if best else "every trial failed"}


def grid(lab: Lab, model: str) -> dict[str, Any]:
    """Return PyCaret's grid for a model, without parameters that its estimator has lost (AdaBoost's ``algorithm``)."""
    made = lab.pycaret._fit_state["model_registry"][model]  # not a public interface
    supported = set(made.class_def(**made.args).get_params())
    return {name: choices for name, choices in (made.tune_grid or {}).items() if name in supported}


def plain(params: ModelParams) -> ModelParams:
    """Convert parameters to JSON values."""
    found: ModelParams = json.loads(json.dumps(params, default=lambda value: np.asarray(value).tolist()))
    return found
