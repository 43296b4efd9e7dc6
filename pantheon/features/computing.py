"""Compute the rows of an engineered view from rows of the raw view, by the formulas of the run that defined it.

For what is pushed, which no run sees, and for stored rows that an engineered view lacks (``backfill``). The numbers are
those that the run computes, to the last bit.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.features.contract import EVENT, Code, Coded, View
from pantheon.workflow.data.spec import Column
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.outputs import Feature, Input
from pantheon.workflow.training.encoding import matrix

DTYPES: Mapping[str, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "category": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Datetime("ms"),
}


def code_of(features: Iterable[Feature], inputs: Sequence[Input]) -> Code:
    """Return the code of a run's engineered features.

    Args:
        features, inputs: as feature_engineering and preprocess wrote them.
    """
    made = list(features)
    read = {name for feature in made for name in feature["of"]}
    coded = [
        Coded(
            name=entry["name"],
            type=entry["type"],
            categories=list(entry.get("categories", [])),
            origin=entry.get("origin"),
        )
        for entry in inputs
        if entry["name"] in read
    ]
    return Code(inputs=coded, formulas={feature["name"]: feature["expression"] for feature in made})


def row_by_row(view: View, raw: View) -> bool:
    """Return whether a view is computed from columns of ``raw`` alone, by code that it has."""
    columns = {field.column for field in raw.fields}
    return view.code is not None and reads(view, raw) and {each.name for each in view.code.inputs} <= columns


def reads(view: View, raw: View) -> bool:
    """Return whether a view is computed from columns of ``raw``, perhaps with others."""
    same = view.kind == "engineered" and raw.kind == "raw" and view.set == raw.set and view.key == raw.key
    return same and not {field.column for field in raw.fields}.isdisjoint(name for f in view.fields for name in f.of)


def computed(view: View, code: Code, raw: View, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the key, the event's time and the fields of an engineered view, in the order of ``stored``.

    Args:
        stored: rows of ``raw``, as its parts have them.

    Raises:
        PantheonError: a column has another type than in the run.
    """
    fields = {field.column: field.name for field in raw.fields}
    columns = [Column(each.name, each.type, categories=tuple(each.categories)) for each in code.inputs]
    frame = pl.DataFrame([_column(stored, fields.get(column.name, ""), column) for column in columns])
    X = matrix(frame, columns, {each.name: each.origin for each in code.inputs if each.origin is not None})
    by_name = {column.name: X[:, place] for place, column in enumerate(columns)}
    values = [
        pl.Series(field.name, evaluate(code.formulas[field.column], by_name).astype(np.float64)).fill_nan(None)
        for field in view.fields
    ]
    return stored.select(raw.key, EVENT).hstack(values)


def _column(stored: pl.DataFrame, field: str, column: Column) -> pl.Series:
    dtype = DTYPES[column.type]
    if field not in stored.columns:
        raise PantheonError(
            f"{column.name!r}, which the features are computed from, is not stored.", "Train again: `run`"
        )
    return as_cleaned(stored[field], dtype).alias(column.name)


def as_cleaned(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return a column of the store with the type that ``clean_data`` gave it.

    Raises:
        PantheonError: it has another type in the store.
    """
    try:
        if isinstance(values.dtype, pl.Datetime):
            if values.dtype.time_zone:
                values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        elif values.dtype.is_float():
            values = values.fill_nan(None)
        return values.cast(dtype)
    except pl.exceptions.PolarsError:
        what = f"the feature store has {values.name!r} as {values.dtype}, and the data as {dtype}."
        raise PantheonError(what, "Give the column in the spec the type that it had, or another name.") from None
