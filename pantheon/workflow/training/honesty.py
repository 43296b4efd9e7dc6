"""Reasons to doubt a score, as sentences with what to do: copies, rare classes, leaking columns, long tails.

They are in ``metrics.json``, so the terminal, the page and the card show them.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.data.reports import Repeated, SplitReport
from pantheon.workflow.data.spec import Spec, label_key
from pantheon.workflow.outputs import Input
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.training.folds import assign
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.metrics import Doubles, score

NOTABLE = 0.01  # share of rows from which copies are worth a sentence
ROWS, BINS, COLUMNS = 10_000, 32, 3000  # rows and columns that are examined, at most; parts of a number's values
ENOUGH = 40  # rows with which a single column's score means something
PERFECT = 0.985  # of 1: a single column this good is suspicious
NAMED = 0.9  # a column named like the target needs no more than this
ALONE, SHARE = 0.95, 0.35  # one column scores this well, and misses this share of what the next best one misses
TAIL = 0.3  # share of the variance that 1 % of the rows have, from which a tail is long
TAIL_ROWS = 50


def reasons(run: Run, spec: Spec, inputs: list[Input], train: Table, metric: str) -> list[str]:
    """Return the reasons to doubt a run's scores."""
    path = run.path("reports/split_data.json")
    found = []
    if path.exists():
        report = read_as(path, SplitReport)
        if repeats := report.get("repeated"):
            found += copied(repeats, report["rows"]["train"] + report["rows"]["test"], report["rows"]["test"])
        if spec.task == "classification":
            found += rare(spec, report, run.params.folds)
    found += leaks(spec, inputs, train)
    if metric == "rmse" and long_tailed(train.y):
        found.append(
            f"{spec.target.column!r} has a long tail: RMSE depends on the 1% of the rows that are far from the mean. "
            "Also judge by another metric: `bin/pantheon run --metric rmsle` or `bin/pantheon run --metric mae`."
        )
    return found


def copied(repeats: Repeated, rows: int, held_out: int) -> list[str]:
    """Return a sentence about rows with the inputs of other rows."""
    if repeats["together"] and repeats["rows"] >= NOTABLE * rows:
        return [
            f"{repeats['rows']:,} of {rows:,} rows have the same inputs as another row ({repeats['distinct']:,} "
            "distinct). Such copies are kept on one side of the split and in one fold."
        ]
    if repeats["in_both"] >= NOTABLE * held_out and not repeats["by_chance"]:
        return [
            f"{repeats['in_both']:,} of {held_out:,} held-out rows are copies of a training row: the score is too "
            "good. Remove the copies from the data."
        ]
    return []


def rare(spec: Spec, report: SplitReport, folds: int) -> list[str]:
    """Return a sentence about every class with too few rows to learn or to judge it."""
    parts = report.get("classes", {})
    found = []
    for value in spec.target.classes:
        name = label_key(value)
        train, test = (parts.get(part, {}).get(name, 0) for part in ("train", "test"))
        rows, of = train + test, f"Class {name!r} of {spec.target.column!r}"
        if rows < 2 or not train:
            why = "has no rows" if not rows else f"has {rows} row{'s' if rows > 1 else ''}"
            found.append(f"{of} {why}: the model cannot learn it. Provide more rows of it.")
        elif train < folds:
            cure = f"`bin/pantheon run --folds {train}` or more rows of it" if train >= 2 else "more rows of it"
            found.append(
                f"{of} has {rows} rows, {train} of them to train: it can hardly be learnt, and its scores "
                f"mean little: {folds} folds need {folds}. Use {cure}."
            )
    return found


def long_tailed(y: NDArray[Any]) -> bool:
    """Whether 1 % of the numbers make up most of the variance."""
    squares = np.sort((np.asarray(y, dtype=np.float64) - np.mean(y)) ** 2)[::-1]
    total = float(squares.sum())
    return len(y) >= TAIL_ROWS and total > 0 and float(squares[: max(1, len(y) // 100)].sum()) > TAIL * total


def leaks(spec: Spec, inputs: list[Input], table: Table) -> list[str]:
    """Return a sentence about every column that says more about the target than a column usually can.

    The column alone predicts the target (nearly) perfectly; or it predicts it well and is named like it; or it predicts
    it well, and every other column far less.
    """
    if len(table) < ENOUGH:
        return []
    alone = single(spec, inputs, table)
    order = sorted(alone, key=lambda name: -alone[name])
    found = []
    for place, name in enumerate(order[:3]):
        value, rest = alone[name], [alone[other] for other in order[place + 1 :]]
        leave_out = f"leave it out: `bin/pantheon run --ignore {_quoted(name)}`"
        if value >= PERFECT:
            why = f"alone predicts {spec.target.column!r} almost perfectly"
        elif value >= NAMED and alike(name, spec.target.column):
            why = f"is named like {spec.target.column!r} and predicts it well"
        elif place == 0 and rest and value >= ALONE and 1 - value < SHARE * (1 - rest[0]):
            why = f"carries the score: it alone predicts {spec.target.column!r} far better than any other column"
        else:
            continue
        kind = "ROC AUC" if spec.task == "classification" else "R²"
        found.append(f"Column {name!r} {why} ({kind} {value:.3g}). If it is only known afterwards, {leave_out}")
    return found


def alike(name: str, target: str) -> bool:
    """Whether a name contains the target's name as a word, or the other way round: churn_reason and churn."""
    one, other = (
        set(re.findall(r"[^\W\d_]{3,}", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).casefold()))
        for text in (name, target)
    )
    return bool(one and other and (one <= other or other <= one))


def single(spec: Spec, inputs: list[Input], table: Table) -> dict[str, float]:
    """Return how well each column alone predicts the target: ROC AUC or R² of the target's mean by value.

    One half of the rows gives the means and the other half is predicted, and the other way round.
    """
    rows = table.take(np.arange(0, len(table), max(1, len(table) // ROWS)))
    classes = len(spec.target.classes) if spec.task == "classification" else 0
    half = assign(rows.y.astype(np.int64) if classes else rows.y, rows.groups, 2, 0, classes)
    truth: Doubles = np.eye(classes)[rows.y] if classes else rows.y.astype(np.float64)[:, None]
    found = {}
    for place, entry in enumerate(inputs[:COLUMNS]):
        part = _parts(rows.X[:, place].astype(np.float64), entry["type"] in ("category", "boolean"))
        answer = np.empty_like(truth)
        for tested in (0, 1):
            fit = half != tested
            counts = np.bincount(part[fit], minlength=part.max() + 1)
            for column in range(truth.shape[1]):
                overall = float(truth[fit, column].mean()) if fit.any() else 0.0
                sums = np.bincount(part[fit], weights=truth[fit, column], minlength=part.max() + 1)
                mean = (sums + overall) / (counts + 1)
                answer[~fit, column] = mean[part[~fit]]
        metric, given = ("roc_auc", answer) if classes else ("r2", answer[:, 0])
        value = score(metric, rows.y, given, spec.positive_index)
        found[entry["name"]] = max(value or 0.0, 0.0 if classes else straight(rows.X[:, place], rows.y))
    return found


def straight(values: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the R² of a straight line through the rows that have a value; 0 if few have one."""
    present = ~np.isnan(values)
    x, y = values[present].astype(np.float64), y[present]
    if len(x) < max(ENOUGH, len(values) // 2) or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def _parts(values: Doubles, listed: bool) -> NDArray[np.int64]:
    """Number the parts of a column: its categories, or ranges with as many rows each; missing values are the last."""
    missing = np.isnan(values)
    part = np.zeros(len(values), dtype=np.int64)
    if not missing.all():
        if listed:
            part = np.where(missing, 0, values).astype(np.int64)
        else:
            edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, BINS + 1)[1:-1]))
            part = np.searchsorted(edges, values, "left").astype(np.int64)
    part[missing] = part.max() + 1
    return part


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else "'" + name.replace("'", "'\\''") + "'"
