"""feature_engineering: what is computed of columns, as expressions that go into the model's ONNX graph."""

from itertools import combinations
from typing import Any

import numpy as np

from pantheon.workflow import extensions, interrupt
from pantheon.workflow.expressions import Tree, columns_of, evaluate
from pantheon.workflow.matrix import Floats, Table
from pantheon.workflow.run import Run, read_json, write_json

YEAR = 365.2425  # days
SKEW = 2.0
SAMPLE = 200_000  # rows that statistics are taken of, evenly spread


def feature_engineering(run: Run) -> dict[str, Any]:
    """``features/train.npz`` → ``features/engineered.json``: ``{"features": [{name, expression, why}], "dropped"}``.

    - of a date: the day of the week (0 is Monday) and the part of the year (0..1), where they vary;
    - of two dates: the days between them;
    - of a number that is never negative and strongly skewed: its logarithm (for the linear model; trees do not mind);
    - every feature that the user's extensions register.

    A date's age is not among them: a date is a day count already, and age would only turn its sign.
    """
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    X = Table.load(run.need("features/train.npz", "preprocess")).X
    X = X[:: max(1, len(X) // SAMPLE)]
    proposed = [*_dates(inputs), *_skewed(inputs, X)]
    for own in extensions.load(run.extensions).features.values():
        proposed.append((own.name, extensions.trace(own, inputs), f"the user's own ({own.file.name})"))
    columns = {entry["name"]: X[:, place] for place, entry in enumerate(inputs)}
    kept, dropped = [], []
    for name, tree, why in proposed:
        interrupt.check()
        values = evaluate(tree, columns)
        seen = np.unique(values[~np.isnan(values)])
        if len(seen) < 2:
            dropped.append({"name": name, "why": "is always missing" if not len(seen) else "is the same in every row"})
        else:
            kept.append({"name": name, "expression": tree, "of": sorted(columns_of(tree)), "why": why})
    write_json(run.path("features/engineered.json"), {"features": kept, "dropped": dropped})
    return {"features": len(kept), "names": [feature["name"] for feature in kept][:8]}


def _dates(inputs: list[dict[str, Any]]) -> list[tuple[str, Tree, str]]:
    found: list[tuple[str, Tree, str]] = []
    dates = [entry["name"] for entry in inputs if entry["type"] == "date"]
    for name in dates:
        day: Tree = ["floor", ["column", name]]
        found.append((f"{name}:weekday", _modulo(["add", day, ["number", 3.0]], 7.0), f"the day of the week of {name}"))
        season: Tree = ["div", _modulo(day, YEAR), ["number", YEAR]]
        found.append((f"{name}:season", season, f"the part of the year of {name}"))
    for one, other in combinations(dates[:4], 2):
        found.append(
            (f"{other} - {one}", ["sub", ["column", other], ["column", one]], f"the days from {one} to {other}")
        )
    return found


def _modulo(tree: Tree, by: float) -> Tree:
    return ["sub", tree, ["mul", ["floor", ["div", tree, ["number", by]]], ["number", by]]]


def _skewed(inputs: list[dict[str, Any]], X: Floats) -> list[tuple[str, Tree, str]]:
    found: list[tuple[str, Tree, str]] = []
    for place, entry in enumerate(inputs):
        values = X[:, place].astype(np.float64)
        values = values[~np.isnan(values)]
        if entry["type"] not in ("number", "integer") or len(values) < 20 or values.min() < 0:
            continue
        spread = values.std()
        if (
            spread > 0
            and np.mean(((values - values.mean()) / spread) ** 3) > SKEW
            and len(np.unique(values[:1000])) > 10
        ):
            positive: Tree = ["maximum", ["column", entry["name"]], ["number", 0.0]]
            found.append((f"log {entry['name']}", ["log1p", positive], f"{entry['name']} has a long tail"))
    return found
