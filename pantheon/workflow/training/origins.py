"""Origins of inputs whose values float32 cannot tell apart, such as seconds since 1970 or times of a day.

float32 has 24 bits: near 1.7e9, neighbours are 128 apart, and days since 1970 resolve to two minutes. The distance from
an origin in the middle of the values keeps what distinguishes them. All other inputs have no origin.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.outputs import Input, Tree
from pantheon.workflow.training.encoding import days
from pantheon.workflow.training.metrics import Doubles

GAIN = 4  # an origin must make the usual size of the numbers smaller by this factor
STEPS = 4096  # steps of float32 that a number needs between its values
HALF_A_SECOND = 0.5 / 86_400  # in days


def origins(frame: pl.DataFrame, spec: Spec) -> dict[str, float]:
    """Return the origins of the columns that need one, computed from the training part.

    Args:
        frame: as ``clean_data`` wrote it.
    """
    found = {}
    for column in spec.features:
        if column.type in ("number", "integer", "date"):
            values = days(pl.col(column.name)) if column.type == "date" else pl.col(column.name)
            alone = frame.get_column(column.name).to_frame()  # a select of the whole frame takes as long as all columns
            numbers = alone.select(values.cast(pl.Float64)).to_series().drop_nulls().to_numpy()
            origin = _origin(column, numbers[np.isfinite(numbers)])
            if origin is not None:
                found[column.name] = origin
    return found


def _origin(column: Column, values: Doubles) -> float | None:
    with np.errstate(over="ignore"):
        error = np.abs(values.astype(np.float32) - values)
    if not error.any() or not np.isfinite(error).all():
        return None
    origin = float(np.quantile(values, 0.5, method="nearest"))  # a whole number, if all values are
    if column.type == "date":
        origin = float(np.floor(origin))  # so that midnight is a whole number
    spread = float(np.median(np.abs(values - origin)))
    if np.median(np.abs(values)) < GAIN * spread:
        return None
    least = {"integer": 0.0, "date": HALF_A_SECOND}.get(column.type, spread / STEPS)
    return origin if np.quantile(error, 0.9) > least else None


def original(values: NDArray[np.float32], entry: Input) -> Doubles:
    """Return the original values of a column of the matrix."""
    return values.astype(np.float64) + entry.get("origin", 0.0)


def in_originals(tree: Tree, given: Mapping[str, float]) -> Tree:
    """Change an expression over original values to one over the columns of the matrix."""
    if tree[0] == "column":
        return ["add", tree, ["number", given[tree[1]]]] if tree[1] in given else tree
    return [tree[0], *(in_originals(part, given) if isinstance(part, list) else part for part in tree[1:])]


def origins_of(inputs: list[Input]) -> dict[str, float]:
    """Return the origins of a signature's inputs by name."""
    return {entry["name"]: entry["origin"] for entry in inputs if "origin" in entry}
