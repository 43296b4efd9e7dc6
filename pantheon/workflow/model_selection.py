"""model_selection: rank the families, with their defaults, by cross-validation on the training part."""

from typing import Any

import numpy as np

from pantheon.workflow.candidates import candidates
from pantheon.workflow.crossval import CrossValidation
from pantheon.workflow.fits import side_by_side
from pantheon.workflow.run import Run, write_json


def model_selection(run: Run) -> dict[str, Any]:
    """``candidates.json`` → ``selection.json``: ``{"metric", "ranking": [{name, mean, std, folds}]}``."""
    run.need("candidates.json", "train")
    folds = CrossValidation(run)
    families = candidates(run, folds.design.task)
    tasks = [task for family in families.values() for task in folds.tasks(family, {})]
    found = side_by_side(tasks, folds.threads)
    count = len(folds.splits)
    scores = {name: found[place * count : (place + 1) * count] for place, name in enumerate(families)}
    ranking = [
        {"name": name, "mean": float(np.mean(values)), "std": float(np.std(values)), "folds": values}
        for name, values in scores.items()
    ]
    ranking.sort(key=lambda entry: entry["mean"], reverse=folds.greater)  # type: ignore[arg-type,return-value]
    write_json(
        run.path("selection.json"),
        {"metric": folds.metric, "greater_is_better": folds.greater, "rows": len(folds.table), "ranking": ranking},
    )
    best = ranking[0]
    return {"best": best["name"], folds.metric: round(float(best["mean"]), 4), "rows": len(folds.table)}  # type: ignore[arg-type]
