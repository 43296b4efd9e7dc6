"""feature_selection: which columns can tell anything, and why the others are left out."""

from typing import Any

import numpy as np

from pantheon.errors import PantheonError
from pantheon.workflow import interrupt
from pantheon.workflow.matrix import Floats, Table
from pantheon.workflow.run import Run, read_json, write_json

SAMPLE = 200_000  # rows looked at, at most, evenly spread
SAME = 0.99999  # correlation from which two numbers tell the same
IDENTIFIER = 0.9  # share of distinct values from which a category is a name
FEW = 0.001  # share of rows that a value other than the usual one must have


def feature_selection(run: Run) -> dict[str, Any]:
    """``features/train.npz`` → ``features/selected.json``: ``{"columns": [...], "dropped": [{name, why}]}``.

    Left out are columns that cannot help any model: always missing, constant or nearly so, names rather than
    categories, and copies of an earlier column. Whether a column that varies helps is for the models to find: judged
    one by one, columns that matter only together would be lost.

    Raises:
        PantheonError: no column is left.
    """
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    X = Table.load(run.need("features/train.npz", "preprocess")).X
    X = X[:: max(1, len(X) // SAMPLE)]
    kept: list[int] = []
    dropped = []
    for place, entry in enumerate(inputs):
        interrupt.check()
        why = _useless(X[:, place], entry) or _copy(X, place, kept, inputs)
        if why:
            dropped.append({"name": entry["name"], "why": why})
        else:
            kept.append(place)
    if not kept:
        reasons = "; ".join(f"{entry['name']} {entry['why']}" for entry in dropped[:3])
        raise PantheonError(
            f"no column can tell anything about the target: {reasons}.", "Give data with columns that vary."
        )
    write_json(
        run.path("features/selected.json"), {"columns": [inputs[place]["name"] for place in kept], "dropped": dropped}
    )
    return {"columns": len(kept), "dropped": [f"{entry['name']}: {entry['why']}" for entry in dropped][:5]}


def _useless(values: Floats, entry: dict[str, Any]) -> str:
    rows = len(values)
    seen, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    missing = rows - int(counts.sum())
    if not len(seen):
        return "is missing in every row"
    if len(seen) == 1 and not missing:
        return "is the same in every row"
    others = rows - max(int(counts.max()), missing)
    if others < max(2, FEW * rows):
        return f"differs from its usual value in only {others} of {rows} rows"
    if entry["type"] == "category" and rows > 50 and len(seen) > IDENTIFIER * counts.sum():
        return "is a name rather than a category: nearly every row has its own"
    return ""


def _copy(X: Floats, place: int, kept: list[int], inputs: list[dict[str, Any]]) -> str:
    values = X[:, place].astype(np.float64)
    present = ~np.isnan(values)
    category = inputs[place]["type"] == "category"
    for other in kept:
        if (inputs[other]["type"] == "category") != category:
            continue
        theirs = X[:, other].astype(np.float64)
        if not np.array_equal(present, ~np.isnan(theirs)):
            continue
        one, two = values[present], theirs[present]
        if _same_categories(one, two) if category else _same_numbers(one, two):
            return f"tells the same as {inputs[other]['name']}"
    return ""


def _same_categories(one: Any, two: Any) -> bool:
    """Does each category of one go with exactly one of the other?"""
    pairs = np.unique(np.stack([one, two]), axis=1).shape[1]
    return bool(pairs == len(np.unique(one)) == len(np.unique(two)))


def _same_numbers(one: Any, two: Any) -> bool:
    if np.array_equal(one, two):
        return True
    if len(one) < 3 or one.std() == 0 or two.std() == 0:
        return False
    return bool(abs(np.corrcoef(one, two)[0, 1]) > SAME)
