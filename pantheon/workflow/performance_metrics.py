"""performance_metrics: how good the chosen model is on rows that it has never seen, in figures and pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow import interrupt
from pantheon.workflow.evaluate import CHOSEN, model_of
from pantheon.workflow.fits import one_thread
from pantheon.workflow.matrix import Floats, Table, iso, load_spec
from pantheon.workflow.metrics import Doubles, better, calibration, primary, score, scores
from pantheon.workflow.preparation import Design
from pantheon.workflow.run import Run, read_json, write_json
from pantheon.workflow.spec import Spec, label_key

SLICE_ROWS = 30  # fewer rows tell nothing about a slice
IMPORTANCE_ROWS, REPEATS = 2000, 3
LEAST_SLICES, MOST_VALUES = 8, 12


def positive_index(spec: Spec) -> int:
    """The place of the class that scores of two classes speak of; the last when the spec names none."""
    classes = list(spec.target.classes)
    return classes.index(spec.target.positive) if spec.target.positive in classes else len(classes) - 1


def words(spec: Spec) -> list[str]:
    """The classes as people read them."""
    return [spec.target.labels.get(label_key(value), label_key(value)) for value in spec.target.classes]


def performance_metrics(run: Run) -> dict[str, Any]:
    """``evaluation/*`` → ``metrics.json``, ``scores.json``, ``curves/*.csv`` and ``plots/*.svg``."""
    from pantheon.workflow import curves, plots

    spec = load_spec(run)
    chosen = read_json(run.need("evaluation/chosen.json", "evaluate"))
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        answers: dict[str, Doubles] = {name: file[name] for name in file.files}
    with np.load(run.need("evaluation/train.npz", "evaluate")) as file:
        seen_y, seen = file["y"], file[CHOSEN]
    y = answers.pop("y")
    test = Table.load(run.need("features/test.npz", "preprocess"))
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    positive = positive_index(spec)
    metric, greater = primary(spec.task, run.params.metric)
    answer = answers[CHOSEN]
    held_out = scores(spec.task, y, answer, positive)
    train = scores(spec.task, seen_y, seen, positive)
    with one_thread():
        importance = permutation_importance(
            model_of(run), Design.load(run), test, metric, greater, positive, run.params.seed
        )
    interrupt.check()
    compared = _candidates(run, spec, chosen, answers, y, positive)
    found = {
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
        "warnings": warnings(spec, y, answer),
        "rows": {"train": read_json(run.path("features/preprocess.json"))["rows"]["train"], "test": len(y)},
        "reproducible": chosen["reproducible"],
    }
    if spec.task == "classification":
        count = len(spec.target.classes)
        matrix = np.bincount(y * count + answer.argmax(axis=1), minlength=count * count).reshape(count, count)
        found["confusion"] = matrix.tolist()
    write_json(run.path("metrics.json"), found)
    curves.write(run, found, y, answer, words(spec))
    for name, picture in plots.all_of(found, y, answer, words(spec), positive, spec.target.column):
        interrupt.check()
        with run.output(f"plots/{name}.svg") as path:
            path.write_bytes(picture)
    return {"chosen": chosen["name"], metric: _round(held_out[metric]), "baseline": _round(found["baseline"][metric])}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _candidates(
    run: Run, spec: Spec, chosen: dict[str, Any], answers: dict[str, Doubles], y: NDArray[Any], positive: int
) -> list[dict[str, Any]]:
    """Every family with its defaults and, where tuning won, the chosen model, best cross-validation first."""
    found = []
    for entry in read_json(run.need("selection.json", "model_selection"))["ranking"]:
        name = entry["name"]
        if name not in answers:  # PyCaret's may fail on more rows than it was compared on
            continue
        is_chosen = name == chosen["name"] and not chosen["tuned"]
        found.append(
            {"name": name, "tuned": False, "chosen": is_chosen, "cv_mean": entry["mean"], "cv_std": entry["std"]}
        )
        found[-1]["held_out"] = scores(spec.task, y, answers[name], positive)
    if chosen["tuned"]:
        held_out = scores(spec.task, y, answers[CHOSEN], positive)
        entry = {
            "name": chosen["name"],
            "tuned": True,
            "chosen": True,
            "cv_mean": chosen["mean"],
            "cv_std": chosen["std"],
        }
        found.insert(0, entry | {"held_out": held_out})
    return found


def overfitting(
    metric: str, greater: bool, train: float | None, cv: float, cv_std: float, held_out: float | None
) -> dict[str, Any]:
    """Training, cross-validation and held-out score side by side, with a verdict in words.

    A model always knows its training rows better; what is suspicious is a held-out score far below cross-validation
    (chance, drift, or a leak in the folds) or a training score far from both.
    """
    if train is None or held_out is None:
        return {
            "train": train,
            "cross_validation": cv,
            "held_out": held_out,
            "gap": None,
            "verdict": "The held-out rows are of one class only.",
        }
    gap = better(train, held_out, greater)
    scale = 1.0 if greater else max(abs(held_out), 1e-12)
    drop = better(cv, held_out, greater)
    if drop > max(3 * cv_std, 0.02 * scale):
        verdict = "Worse on held-out rows than cross-validation foretold: they may differ from the training rows."
    elif gap > 0.1 * scale:
        verdict = "Much better on the rows it was trained on than on others: it has learnt some of them by heart."
    else:
        verdict = "No sign of overfitting: training, cross-validation and held-out scores are close."
    return {"train": train, "cross_validation": cv, "held_out": held_out, "gap": gap, "verdict": verdict}


def warnings(spec: Spec, y: NDArray[Any], answer: Doubles) -> list[str]:
    """What a single score hides."""
    if spec.task != "classification":
        return []
    names, said, found = words(spec), np.bincount(answer.argmax(axis=1), minlength=answer.shape[1]), []
    for index, name in enumerate(names):
        true = int(np.sum(y == index))
        if true and not said[index]:
            found.append(f"{name} is never the answer, though it was true of {true} of {len(y)} held-out rows.")
        elif true < 10:
            found.append(f"Only {true} held-out rows are {name}: figures about it are rough.")
    return found


def slices(
    test: Table, inputs: list[dict[str, Any]], spec: Spec, answer: Doubles, positive: int
) -> list[dict[str, Any]]:
    """The metrics for parts of the held-out rows: each category, each third of a number's range of values.

    Columns that the spec marks ``slice`` come first; then others, up to eight columns in all.
    """
    marked = {column.name for column in spec.columns if column.slice}
    order = sorted(range(len(inputs)), key=lambda place: inputs[place]["name"] not in marked)
    found = []
    for place in order[: max(LEAST_SLICES, len(marked))]:
        for value, rows in _parts(test.X[:, place], inputs[place]):
            if int(rows.sum()) >= SLICE_ROWS:
                metrics = scores(spec.task, test.y[rows], answer[rows], positive)
                found.append(
                    {"column": inputs[place]["name"], "value": value, "rows": int(rows.sum()), "metrics": metrics}
                )
    return found


def _parts(values: Any, entry: dict[str, Any]) -> list[tuple[str, Any]]:
    missing = np.isnan(values)
    found: list[tuple[str, Any]] = []
    if entry["type"] == "category":
        counts = np.bincount(values[~missing].astype(int), minlength=len(entry["categories"]))
        usual = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        found = [(entry["categories"][index], values == index) for index in sorted(usual)]
    elif entry["type"] == "boolean":
        found = [("false", values == 0), ("true", values == 1)]
    elif not missing.all():
        low, high = np.quantile(values[~missing], [1 / 3, 2 / 3], method="nearest")
        one, two = (iso(low), iso(high)) if entry["type"] == "date" else (f"{low:.4g}", f"{high:.4g}")
        found = [
            (f"≤ {one}", values <= low),
            (f"{one} to {two}", (values > low) & (values <= high)),
            (f"> {two}", values > high),
        ]
    return [*found, ("missing", missing)]


def permutation_importance(
    model: Callable[[Floats], Doubles],
    design: Design,
    test: Table,
    metric: str,
    greater: bool,
    positive: int,
    seed: int,
) -> list[dict[str, Any]]:
    """By how much the metric worsens when one input is shuffled among the held-out rows, greatest first."""
    rows = test.take(np.arange(min(len(test), IMPORTANCE_ROWS)))
    whole = score(metric, rows.y, model(rows.X), positive)
    random = np.random.default_rng(seed)
    found = []
    for place, entry in enumerate(design.inputs):
        interrupt.check()
        used = entry["name"] in design.columns or any(entry["name"] in str(tree) for _, tree in design.features)
        drops = []
        for _ in range(REPEATS):
            order = random.permutation(len(rows))
            if used and whole is not None:
                X = rows.X.copy()
                X[:, place] = X[order, place]
                value = score(metric, rows.y, model(X), positive)
                drops.append(better(whole, value if value is not None else whole, greater))
        if drops:
            found.append({"name": entry["name"], "mean": float(np.mean(drops)), "std": float(np.std(drops))})
    return sorted(found, key=lambda entry: -entry["mean"])
