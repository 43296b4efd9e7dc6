"""model_selection: rank the families of models, with default parameters, by cross-validation on the training part."""

import numpy as np

from pantheon.files import write_json
from pantheon.workflow.outputs import Ranked, Selection, Summary
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import candidates
from pantheon.workflow.training.crossval import CrossValidation
from pantheon.workflow.training.parallel import run_parallel


def model_selection(run: Run) -> Summary:
    """``candidates.json`` → ``selection.json``: ``{"metric", "ranking": [{name, mean, std, folds}]}``."""
    run.need("candidates.json", "train")
    folds = CrossValidation(run)
    families = candidates(run, folds.design.task)
    tasks = [task for family in families.values() for task in folds.tasks(family, {})]
    values_of_tasks = run_parallel(tasks, folds.threads)
    count = len(folds.splits)
    scores = {name: values_of_tasks[place * count : (place + 1) * count] for place, name in enumerate(families)}
    ranking: list[Ranked] = [
        {"name": name, "mean": float(np.mean(values)), "std": float(np.std(values)), "folds": values}
        for name, values in scores.items()
    ]
    ranking.sort(key=lambda entry: entry["mean"], reverse=folds.greater)
    selection: Selection = {
        "metric": folds.metric,
        "greater_is_better": folds.greater,
        "rows": len(folds.table),
        "ranking": ranking,
    }
    write_json(run.path("selection.json"), selection)
    best = ranking[0]
    return {"best": best["name"], folds.metric: round(best["mean"], 4), "rows": len(folds.table)}
