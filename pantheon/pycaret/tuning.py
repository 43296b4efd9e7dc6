"""PyCaret's ``tune_model`` on one family, and what came of its trials."""

import json
from typing import Any

import numpy as np

from pantheon.pycaret.experiment import Folds, Lab, quiet, reason

OWN = "run"  # the metric's name in PyCaret's table


def search(lab: Lab, model: str, folds: Folds) -> dict[str, Any]:
    """Search a family by random trials over PyCaret's own grid.

    Returns:
        ``{"best": {"params", "mean", "folds"} | None, "trials": [{"number", "params", "mean"}], "why"}``; ``why`` there
        is no best one, else empty.
    """
    # `optimize` takes PyCaret's names alone, and none for ROC AUC of more than two classes; its table (no public
    # interface) takes a scorer of ours.
    table = {OWN: lab.scorer}
    lab.pycaret._CLF_OPTIMIZE_SKLEARN = lab.pycaret._REG_OPTIMIZE_SKLEARN = table
    try:
        with quiet():
            made = lab.pycaret.tune_model(
                model, fold=folds, n_iter=lab.params.trials, custom_grid=grid(lab, model), optimize=OWN, round=15
            )
    except Exception as error:  # noqa: BLE001 - the family stays with its defaults, and it is said why
        return {"best": None, "trials": [], "why": reason(error)}
    if made.search is None:
        return {"best": None, "trials": [], "why": "PyCaret has nothing to tune in it"}
    results = made.search.cv_results_
    trials: list[dict[str, Any]] = []
    for number, params in enumerate(results["params"]):
        scores = [float(results[f"split{fold}_test_score"][number]) for fold in range(len(folds.pairs))]
        values = [lab.unscored(value) for value in scores if np.isfinite(value) and value > 0]
        if len(values) == len(scores):  # else it failed
            trials.append({"number": number, "params": plain(params), "mean": float(np.mean(values)), "folds": values})
    pick = max if lab.greater else min
    best = pick(trials, key=lambda trial: trial["mean"]) if trials else None
    return {"best": best, "trials": trials, "why": "" if best else "every trial failed"}


def grid(lab: Lab, model: str) -> dict[str, Any]:
    """PyCaret's grid for a model, without what its estimator does not know any more (AdaBoost's ``algorithm``)."""
    made = lab.pycaret._fit_state["model_registry"][model]  # no public interface
    known = set(made.class_def(**made.args).get_params())
    return {name: choices for name, choices in (made.tune_grid or {}).items() if name in known}


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps(params, default=lambda value: np.asarray(value).tolist()))
    return found
