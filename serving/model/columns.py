"""Encode many rows column by column, which is several times faster than row by row.

Only for plain rows. All others are encoded row by row, which reports errors with their position.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.model.fields import Field, bounds
from serving.problems import Refused

EXACT = 2.0**53  # up to here every integer is exact as a float
Column = npt.NDArray[np.float64]


def encode(rows: Sequence[Any], fields: Sequence[Field]) -> npt.NDArray[np.float32] | None:
    """Encode rows like ``Signature.encode``; None if a row may be invalid or is unusual."""
    if set(map(type, rows)) != {dict}:
        return None
    matrix = np.empty((len(rows), len(fields)), dtype=np.float32)
    complete = True
    for index, field in enumerate(fields):
        values = [row.get(field.name) for row in rows]
        missing = None in values
        complete = complete and not missing
        column = None if missing and not field.nullable else encode_column(values, field)
        if column is None:
            return None
        matrix[:, index] = column
    if complete:
        only_inputs = sum(map(len, rows)) == len(rows) * len(fields)
    else:
        names = {field.name for field in fields}
        only_inputs = all(row.keys() <= names for row in rows)
    return matrix if only_inputs else None


def encode_column(values: list[Any], field: Field) -> Column | None:
    """Encode one input of all rows, with NaN for None; None if a value is invalid, or types are mixed."""
    types = set(map(type, values)) - {type(None)}
    if types <= {int, float} and field.type in ("number", "integer") and not (field.texts and field.texts.codes):
        return numbers(values, field, int in types)
    if len(types) > 1:  # 1 and true are equal in Python, but different values for an input
        return None
    try:
        encoded: dict[Any, float] = {value: field.coerce(value) for value in set(values) if value is not None}
    except (Refused, TypeError):  # TypeError: a list or an object
        return None
    if None in values:
        encoded[None] = np.nan
    return np.fromiter(map(encoded.__getitem__, values), np.float64, len(values))


def numbers(values: list[Any], field: Field, integers: bool) -> Column | None:
    try:
        column = np.array(values, dtype=np.float64)
    except (OverflowError, ValueError):
        return None
    present = column[~np.isnan(column)] if None in values else column
    least, most = bounds(field.type == "integer", (field.low, field.high), field.texts)
    valid = (present >= least) & (present <= most)  # false for NaN
    if field.type == "integer":
        valid &= present == np.floor(present)
    if integers:
        valid &= np.abs(present) <= EXACT
    return column - field.origin if valid.all() else None
