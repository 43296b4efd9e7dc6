"""Tests a pipeline's logic without its model: steps are replaced in the compiled pipeline, everything else is as it is.

A model with known answers in place of the trained one shows what the gate, the condition, the store and the exit
handler do with it, whatever the data: an accurate stub is deployed, an inaccurate one is not.
"""

import json
from typing import Any

ALL = 1 << 30  # rows, more than any data has
EVALUATE = """
from kfp import dsl
from kfp.dsl import *

def evaluate(run: str, selection: Input[Artifact], tuning: Input[Artifact], chosen: Output[Model]):
    from pantheon.kubeflow.pipelines.stub import evaluate

    evaluate(run, {accurate!r}, chosen)
"""


def replaced(compiled: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    """Return a compiled pipeline with other functions in its steps.

    Args:
        sources: the name of an executor, such as ``exec-evaluate`` → the source of a module, with a function of the
            same name and signature as the one that it replaces.

    Raises:
        KeyError: there is no such executor.
    """
    changed: dict[str, Any] = json.loads(json.dumps(compiled))
    for label, source in sources.items():
        changed["deploymentSpec"]["executors"][label]["container"]["command"][-1] = source
    return changed


def stubbed(workflow: dict[str, Any], accurate: bool) -> dict[str, Any]:
    """Return the pipeline ``workflow`` with a stub in place of the model that it would choose."""
    return replaced(workflow, {"exec-evaluate": EVALUATE.format(accurate=accurate)})


def evaluate(run: str, accurate: bool, artifact: Any) -> None:
    """Be the stage evaluate, in a step: the chosen model is a small tree, or one that always gives the same answer."""
    from pantheon.kubeflow.pipelines import stage
    from pantheon.workflow import graph
    from pantheon.workflow.outputs import Summary
    from pantheon.workflow.run import Run

    def work(current: Run) -> Summary:
        return chosen(current, accurate)

    current = stage.find(run)
    graph.run_single("evaluate", current, None, other=graph.Other("stub", work))
    stage.hand_on(current.path(stage.FILES["chosen"]), artifact)


def chosen(run: Any, accurate: bool) -> dict[str, Any]:
    """Write the outputs of the stage evaluate for a stub; return its summary."""
    import joblib
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    from pantheon.files import write_json
    from pantheon.workflow.outputs import CHOSEN, Selection
    from pantheon.workflow.training.candidates import BASELINE, Candidate, Prepared, candidates, fit
    from pantheon.workflow.training.matrix import save, train_and_test
    from pantheon.workflow.training.preparation import Design

    design, seed = Design.load(run), run.params.seed
    train, test = train_and_test(run)
    classes = design.task == "classification"

    def build(seed: int) -> Any:
        tree = DecisionTreeClassifier if classes else DecisionTreeRegressor
        return tree(max_depth=4, random_state=seed) if accurate else tree(min_samples_split=ALL)  # one leaf

    model = fit(Candidate("stub", build, {}), {}, Prepared.fit(design, train, seed), seed)
    selection = run.read("selection.json", "model_selection", Selection)
    folds = next(entry["folds"] for entry in selection["ranking"] if entry["name"] == BASELINE)
    names = list(candidates(run, design.task))
    others = {name: joblib.load(run.need(f"candidates/{name}.joblib", "train")).predict(test.X) for name in names}
    with run.output("evaluation/chosen.joblib") as path:
        joblib.dump(model, path)
    with run.output("evaluation/test.npz") as path, path.open("wb") as file:
        save(file, {"y": test.y, CHOSEN: model.predict(test.X), **others})
    with run.output("evaluation/train.npz") as path, path.open("wb") as file:
        save(file, {"y": train.y, CHOSEN: model.predict(train.X)})
    mean = sum(folds) / len(folds)
    about = {"name": "stub", "params": {}, "tuned": False, "folds": folds, "mean": mean, "std": 0.0}
    write_json(run.path("evaluation/chosen.json"), about | {"metric": selection["metric"], "reproducible": True})
    return {"chosen": "stub"}
