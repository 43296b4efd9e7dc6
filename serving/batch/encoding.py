"""Encode the rows of a table for the model, as requests are encoded; of rows that are refused, tell the reasons."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from serving.model.columns import encode_column
from serving.model.fields import Field
from serving.problems import Refused, shown

Matrix = npt.NDArray[np.float32]
Reasons = dict[int, str]
"""Why rows are refused, by their position."""


def encode(frame: pl.DataFrame, fields: list[Field]) -> tuple[Matrix, Reasons]:
    """Return the model's input (rows, inputs), where rows that are refused have any values; and their reasons."""
    matrix = np.full((frame.height, len(fields)), np.nan, dtype=np.float32)
    refused: dict[int, list[str]] = {}
    for place, field in enumerate(fields):
        values = values_of(frame, field)
        column = None if None in values and not field.nullable else encode_column(values, field)
        if column is not None:
            matrix[:, place] = column
            continue
        known: dict[tuple[type, Any], tuple[float, str]] = {}
        for row, value in enumerate(values):
            key = type(value), value
            if key not in known:
                known[key] = encoded(value, field)
            number, reason = known[key]
            matrix[row, place] = number
            if reason:
                refused.setdefault(row, []).append(reason)
    return matrix, {row: "; ".join(reasons) for row, reasons in refused.items()}


def encoded(value: Any, field: Field) -> tuple[float, str]:
    """Return a value as the model's number, and why it is refused; empty if it is not."""
    if value is None:
        return np.nan, "" if field.nullable else f"{field.name}: a value is required: expected {field.expected}"
    try:
        return field.coerce(value), ""
    except Refused as error:
        return np.nan, f"{field.name}: expected {error}, got {shown(value)}"


def values_of(frame: pl.DataFrame, field: Field) -> list[Any]:
    """Return the values of an input as they would be in JSON; None where they are missing."""
    if field.name not in frame.columns:
        return [None] * frame.height
    column = frame[field.name]
    kind = column.dtype
    if kind == pl.Float32:  # 0.1, and not 0.10000000149
        column = column.cast(pl.String).cast(pl.Float64).fill_nan(None)
    elif kind.is_float():
        column = column.fill_nan(None)
    elif isinstance(kind, pl.Decimal):
        column = column.cast(pl.Float64)
    elif isinstance(kind, pl.Datetime):
        if kind.time_zone:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        column = column.dt.to_string("%Y-%m-%dT%H:%M:%S%.3f") if field.type == "date" else column.cast(pl.String)
    elif not (kind.is_integer() or kind in (pl.Boolean, pl.String, pl.Null)):  # dates, categories
        column = column.cast(pl.String)
    return column.to_list()


def predictions(values: list[Any], classes: list[Any], name: str) -> pl.Series:
    """Return predictions as a column: of numbers, booleans or texts, as the classes are; otherwise of JSON."""
    kinds = {type(value) for value in classes}
    plain = {int: pl.Int64, bool: pl.Boolean, str: pl.String, float: pl.Float64}
    if not classes:
        return pl.Series(name, values, dtype=pl.Float64)
    if len(kinds) == 1 and (kind := kinds.pop()) in plain:
        return pl.Series(name, values, dtype=plain[kind])
    return pl.Series(name, [json.dumps(value, ensure_ascii=False) for value in values], dtype=pl.String)
