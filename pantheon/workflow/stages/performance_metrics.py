"""performance_metrics: measure the chosen model on held-out rows; write metrics and plots."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.outputs import (
    CHOSEN,
    CHOSEN_ONNX,
    Chosen,
    ComparedCandidate,
    Input,
    Metrics,
    Overfitting,
    Preprocessed,
    Selection,
    Slice,
    Summary,
)
from pantheon.workflow.run import Run
from pantheon.workflow.stages.evaluate import chosen_model
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.honesty import reasons
from pantheon.workflow.training.importance import Shuffler, WholeRows, permutation_importance, rows_to_shuffle
from pantheon.workflow.training.matrix import Table, iso, load_spec
from pantheon.workflow.training.metrics import Doubles, better, calibration, primary, scores
from pantheon.workflow.training.origins import original
from pantheon.workflow.training.parallel import one_thread
from pantheon.workflow.training.preparation import Design
from pantheon.workflow.training.shuffling import columns_shuffler

SLICE_ROWS = 30  # minimum rows of a slice: fewer are not significant
LEAST_SLICES, MOST_VALUES = 8, 12


def performance_metrics(run: Run) -> Summary:
    """``evaluation/*`` → ``metrics.json``, ``scores.json``, ``curves/*.csv`` and ``plots/*.svg``."""
    from pantheon.workflow.training import plots

    spec = load_spec(run)
    chosen = run.read("evaluation/chosen.json", "evaluate", Chosen)
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        answers: dict[str, Doubles] = {name: file[name] for name in file.files}
    with np.load(run.need("evaluation/train.npz", "evaluate")) as file:
        seen_y, seen = file["y"], file[CHOSEN]
    y = answers.pop("y")
    test = Table.load(run.need("features/test.npz", "preprocess"))
    prepared = run.read("features/preprocess.json", "preprocess", Preprocessed)
    inputs = prepared["inputs"]
    positive = spec.positive_index
    metric, greater = primary(spec.task, run.params.metric)
    answer = answers[CHOSEN]
    held_out = scores(spec.task, y, answer, positive)
    train = scores(spec.task, seen_y, seen, positive)
    with one_thread():
        rows = rows_to_shuffle(test)
        shuffler = shuffler_of(run, rows.X)
        importance = permutation_importance(
            shuffler, Design.load(run), rows, metric, greater, positive, run.params.seed
        )
    cancellation.check()
    doubts = reasons(run, spec, inputs, Table.load(run.need("features/train.npz", "preprocess")), metric)
    compared = _candidates(run, spec, chosen, answers, y, positive)
    results: Metrics = {
        "task": spec.task,
        "primary": {"name": metric, "greater_is_better": greater},
        "chosen": chosen["name"],
        "params": chosen["params"],
        "tuned": chosen["tuned"],
        "held_out": held_out,
        "train": train,
        "cross_validation": {
            "metric": metric,
            "mean": chosen["mean"],
            "std": chosen["std"],
            "folds": len(chosen["folds"]),
        },
        "baseline": scores(spec.task, y, answers["baseline"], positive),
        "overfitting": overfitting(metric, greater, train[metric], chosen["mean"], chosen["std"], held_out[metric]),
        "candidates": compared,
        "slices": slices(test, inputs, spec, answer, positive),
        "calibration": calibration(y, answer, positive) if spec.task == "classification" else [],
        "importance": importance,
        "warnings": [*doubts, *warnings(spec, y, answer)],
        "rows": {"train": prepared["rows"]["train"], "test": len(y)},
        "reproducible": chosen["reproducible"],
    }
    if spec.task == "classification":
        count = len(spec.target.classes)
        matrix = np.bincount(y * count + answer.argmax(axis=1), minlength=count * count).reshape(count, count)
        results["confusion"] = matrix.tolist()
    write_json(run.path("metrics.json"), results)
    plots.write_curves(run, results, y, answer, spec.class_names)
    for name, picture in plots.all_of(results, y, answer, spec.class_names, positive, spec.target.column):
        cancellation.check()
        with run.output(f"plots/{name}.svg") as path:
            path.write_bytes(picture)
    return {"chosen": chosen["name"], metric: _round(held_out[metric]), "baseline": _round(results["baseline"][metric])}


def shuffler_of(run: Run, X: Floats) -> Shuffler:
    """Return what predicts rows of the matrix of inputs with the run's chosen model while inputs are shuffled."""
    if run.path(CHOSEN_ONNX).exists():
        return WholeRows(partial(predict, session(run.path(CHOSEN_ONNX))), X)
    return columns_shuffler(chosen_model(run), X)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _candidates(
    run: Run, spec: Spec, chosen: Chosen, answers: dict[str, Doubles], y: NDArray[Any], positive: int
) -> list[ComparedCandidate]:
    """Return every family with its defaults and, if it is tuned, the chosen model; best cross-validation first."""
    results: list[ComparedCandidate] = []

    def add(name: str, tuned: bool, chosen: bool, mean: float, std: float, answer: Doubles) -> None:
        held_out = scores(spec.task, y, answer, positive)
        results.append(
            {"name": name, "tuned": tuned, "chosen": chosen, "cv_mean": mean, "cv_std": std, "held_out": held_out}
        )

    if chosen["tuned"]:
        add(chosen["name"], True, True, chosen["mean"], chosen["std"], answers[CHOSEN])
    for entry in run.read("selection.json", "model_selection", Selection)["ranking"]:
        name = entry["name"]
        if name not in answers:  # a PyCaret model may fail on more rows than it was compared on
            continue
        is_chosen = name == chosen["name"] and not chosen["tuned"]
        add(name, False, is_chosen, entry["mean"], entry["std"], answers[name])
    return results


def overfitting(
    metric: str, greater: bool, train: float | None, cv: float, cv_std: float, held_out: float | None
) -> Overfitting:
    """Compare training, cross-validation and held-out scores, and add a verdict.

    A model is always better on its training rows. Suspicious are a held-out score far below cross-validation (chance,
    drift, or a leak between the folds) and a training score far above both.
    """
    if train is None or held_out is None:
        return {
            "train": train,
            "cross_validation": cv,
            "held_out": held_out,
            "gap": None,
            "verdict": "The held-out rows belong to one class only.",
        }
    gap = better(train, held_out, greater)
    scale = 1.0 if greater else max(abs(held_out), 1e-12)
    drop = better(cv, held_out, greater)
    if drop > max(3 * cv_std, 0.02 * scale):
        verdict = "Worse on held-out rows than in cross-validation: they may differ from the training rows."
    elif gap > 0.1 * scale:
        verdict = "Overfitting: the score on the training rows is much better than on held-out rows."
    else:
        verdict = "No sign of overfitting: training, cross-validation and held-out scores are close."
    return {"train": train, "cross_validation": cv, "held_out": held_out, "gap": gap, "verdict": verdict}


def warnings(spec: Spec, y: NDArray[Any], answer: Doubles) -> list[str]:
    """Return warnings about classes that a single score hides."""
    if spec.task != "classification":
        return []
    names, predicted, results = spec.class_names, np.bincount(answer.argmax(axis=1), minlength=answer.shape[1]), []
    for index, name in enumerate(names):
        true = int(np.sum(y == index))
        if true and not predicted[index]:
            results.append(f"{name} is never predicted, although {true} of {len(y)} held-out rows belong to it.")
        elif not true:
            results.append(f"No held-out row belongs to {name}: nothing tests how well it is learnt.")
        elif true < 10:
            results.append(f"Only {true} held-out rows belong to {name}: its metrics are imprecise.")
    return results


def slices(test: Table, inputs: list[Input], spec: Spec, answer: Doubles, positive: int) -> list[Slice]:
    """Return the metrics for parts of the held-out rows: every category, every third of a number's values.

    Columns with ``slice`` in the spec come first; then others, up to eight columns in total.
    """
    marked = {column.name for column in spec.columns if column.slice}
    order = sorted(range(len(inputs)), key=lambda place: inputs[place]["name"] not in marked)
    results: list[Slice] = []
    for place in order[: max(LEAST_SLICES, len(marked))]:
        for value, rows in _parts(test.X[:, place], inputs[place]):
            if int(rows.sum()) >= SLICE_ROWS:
                metrics = scores(spec.task, test.y[rows], answer[rows], positive)
                results.append(
                    {"column": inputs[place]["name"], "value": value, "rows": int(rows.sum()), "metrics": metrics}
                )
    return results


def _parts(values: Any, entry: Input) -> list[tuple[str, Any]]:
    values = original(values, entry)
    missing = np.isnan(values)
    results: list[tuple[str, Any]] = []
    if entry["type"] == "category":
        counts = np.bincount(values[~missing].astype(int), minlength=len(entry["categories"]))
        usual = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        results = [(entry["categories"][index], values == index) for index in sorted(usual)]
    elif entry["type"] == "boolean":
        results = [("false", values == 0), ("true", values == 1)]
    elif not missing.all():
        low, high = np.quantile(values[~missing], [1 / 3, 2 / 3], method="nearest")
        digits = 15 if "origin" in entry else 4
        one, two = (
            iso(bound, "origin" in entry) if entry["type"] == "date" else f"{bound:.{digits}g}" for bound in (low, high)
        )
        results = [
            (f"≤ {one}", values <= low),
            (f"{one} to {two}", (values > low) & (values <= high)),
            (f"> {two}", values > high),
        ]
    return [*results, ("missing", missing)]
