"""Rows that a signature allows, to ask models about. Needs only NumPy: environments that convert have little else."""

from typing import Any

import numpy as np

from serving.model.fields import Field

ROWS = 2000  # to test a model with


def rows(inputs: list[dict[str, Any]], count: int, seed: int = 42) -> Any:
    """Generate encoded rows that the signature allows; the first has the examples.

    Args:
        inputs: the signature's inputs.

    Returns:
        float32, shape (count, inputs); a tenth of what may be missing is NaN.
    """
    random = np.random.default_rng(seed)
    columns = []
    for entry in inputs:
        field = Field.read(entry)
        if field.type == "boolean":
            column = random.integers(0, 2, count).astype(float)
        elif field.type == "category":
            column = random.integers(0, max(1, len(entry["categories"])), count).astype(float)
        else:
            seen = [field.coerce(v) for v in entry.get("seen") or []]
            low, high = (
                field.low if field.low is not None else min(seen, default=None),
                field.high if field.high is not None else max(seen, default=None),
            )
            if low is None or high is None:  # no limits: numbers of every magnitude
                column = random.normal(size=count) * 10 ** random.uniform(-1, 3, count)
                column = np.clip(column, low if low is not None else -np.inf, high if high is not None else np.inf)
            else:
                column = random.uniform(low, high, count)
            column = np.floor(column) if field.type == "integer" else column
        if field.nullable:
            column[random.random(count) < 0.1] = np.nan
        if entry.get("example") is not None:
            column[0] = field.coerce(entry["example"])
        columns.append(column)
    return np.stack(columns, axis=1).astype(np.float32)


def mixed(inputs: list[dict[str, Any]], count: int) -> Any:
    """Generate rows as ``rows`` does, with whole numbers in every other one, as real data often has.

    Trees split at values of their training data: rounding in a step before them shows only at such values.
    """
    X = rows(inputs, count)
    for place, entry in enumerate(inputs):
        if entry["type"] == "number" and not entry.get("origin"):
            whole = np.round(X[2::2, place])
            low, high = entry.get("min", -np.inf), entry.get("max", np.inf)
            X[2::2, place] = np.where((whole >= low) & (whole <= high), whole, X[2::2, place])
    return X


def first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
