"""The matrix of inputs: one float32 column per input, in the order of the signature.

number, integer: unchanged · boolean: 0, 1 · category: its position in the spec's list · date: days since 1970-01-01
· missing, or an unlisted category: NaN. Of a few numbers and dates, the distance from an origin: see ``origins.py``.

It needs only Polars, so that the feature store computes features as the workflow does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.workflow.data.spec import Column

Floats = NDArray[np.float32]
DAY_MS = 86_400_000


def days(column: pl.Expr) -> pl.Expr:
    """Convert a Date or Datetime to days since 1970-01-01, with a fraction."""
    return column.cast(pl.Datetime("ms")).cast(pl.Int64) / DAY_MS


def _expression(column: Column, origin: float | None) -> pl.Expr:
    value = pl.col(column.name)
    if column.type == "category":
        categories = pl.Series(column.categories, dtype=pl.String)
        places = pl.Series(range(len(categories)), dtype=pl.Float32)
        value = value.cast(pl.String).replace_strict(categories, places, default=None, return_dtype=pl.Float32)
    elif column.type == "date":
        value = days(value)
    if origin is not None:
        value = value.cast(pl.Float64) - origin
    return value.cast(pl.Float32).fill_null(float("nan"))


def matrix(frame: pl.DataFrame, columns: Sequence[Column], origins: Mapping[str, float]) -> Floats:
    """Convert the columns of a frame that ``clean_data`` wrote to a matrix."""
    X = frame.select(_expression(column, origins.get(column.name)) for column in columns).to_numpy(order="c")
    return np.where(np.isfinite(X), X, np.float32("nan")).astype(np.float32, copy=False)
