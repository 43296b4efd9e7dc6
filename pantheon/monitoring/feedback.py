"""New rows to train on: what the endpoint was asked, with the truth that users told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import polars as pl

from pantheon.monitoring.inputs import CONTEXT
from pantheon.predictions.keep import ORIGIN
from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.spec import Column, Source, Spec, Value, label_key, same

COLUMNS: Final = (  # of the log
    *("id", "row", "at", "status", "input", "prediction", "correct", "true_value", "said_at"),
)
_BITS = 1 << 62


@dataclass(frozen=True)
class Labelled:
    """Rows with the truth.

    Attributes:
        rows: with the columns that the spec uses, in its types; the target as a class, or a number.
        keys: of each row, its request's id, its place in the request, and its truth as JSON.
        left_out: why other rows with feedback cannot be used → how many.
    """

    rows: pl.DataFrame
    keys: list[str]
    left_out: dict[str, int]


def labelled(log: pl.DataFrame, spec: Spec, dtypes: Mapping[str, pl.DataType]) -> Labelled:
    """Return the rows of the log whose truth is known.

    The truth is the value that a user gave; without one, the prediction that a user called right; or, of two classes,
    the one that was not predicted if a user called the prediction wrong.

    Args:
        log: predictions with their feedback, and the columns ``COLUMNS``.
        spec: of the data that the model was trained on.
        dtypes: column → type in ``clean.parquet``.
    """
    left: Counter[str] = Counter()
    inputs: list[dict[str, Any]] = []
    truths: list[Value] = []
    asked: list[dict[str, Any]] = []
    for row in log.filter(pl.col("correct").is_not_null() | pl.col("true_value").is_not_null()).iter_rows(named=True):
        given, (truth, why) = _decoded(row["input"]), _truth(row, spec)
        if isinstance(given, dict):
            given = {**_about(given), **given}  # such as an entity, which the model never sees
        if row["status"] >= 400 or not isinstance(given, dict):
            left["the request was not answered row by row"] += 1
        elif truth is None:
            left[why] += 1
        else:
            inputs.append(given)
            truths.append(truth)
            asked.append(row)
    columns, usable = [], pl.Series([True] * len(inputs), dtype=pl.Boolean)
    for column in spec.columns:
        if column.role == "ignore":
            continue
        if column.role == "target":
            columns.append(pl.Series(column.name, truths, _truth_type(spec)))
            continue
        values = _cells(column, [given.get(column.name) for given in inputs]).cast(dtypes[column.name])
        if column.role != "feature":
            values = _made_up(column, spec, values, asked)
        columns.append(values.alias(column.name))
        if not column.nullable or column.name == spec.split.column:
            usable &= values.is_not_null()
    if unusable := int((~usable).sum()):
        left["a value is missing, or is not one that the data may have"] += unusable
    keys = [
        f"{row['id']} {row['row']} {msgspec.json.encode(truth).decode()}"
        for row, truth, keep in zip(asked, truths, usable, strict=True)
        if keep
    ]
    return Labelled(pl.DataFrame(columns).filter(usable), keys, dict(left))


def _about(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a logged row says besides its inputs: what was sent along, and whose features were looked up."""
    along, origin = given.get(CONTEXT), given.get(ORIGIN)
    entity = origin.get("entity") if isinstance(origin, dict) else None
    return {**(entity if isinstance(entity, dict) else {}), **(along if isinstance(along, dict) else {})}


def _truth(row: dict[str, Any], spec: Spec) -> tuple[Value | None, str]:
    """Return the truth about a row; None and why, if it is not known."""
    told, predicted = _decoded(row["true_value"]), _decoded(row["prediction"])
    if spec.task == "regression":
        if isinstance(told, int | float) and not isinstance(told, bool):
            return float(told), ""
        return None, "no true value was said"
    classes = spec.target.classes
    if told is not None:
        for value in classes:
            if same(value, told) or told in (label_key(value), spec.target.labels.get(label_key(value))):
                return value, ""
        return None, "the true value is not one of the model's classes"
    this = next((value for value in classes if same(value, predicted)), None)
    if this is None:
        return None, "the prediction is not one of the model's classes"
    if row["correct"]:
        return this, ""
    if len(classes) == 2:
        return next(value for value in classes if not same(value, this)), ""
    return None, "the prediction was wrong, and no true value was said"


def _truth_type(spec: Spec) -> pl.DataType:
    if spec.task == "regression":
        return pl.Float64()
    kinds = {type(value) for value in spec.target.classes}
    types: dict[frozenset[type], pl.DataType] = {
        frozenset({bool}): pl.Boolean(),
        frozenset({int}): pl.Int64(),
        frozenset({int, float}): pl.Float64(),
        frozenset({float}): pl.Float64(),
    }
    return types.get(frozenset(kinds), pl.String())


def as_classes(column: pl.Series, spec: Spec) -> pl.Series:
    """Return a target of ``clean.parquet``, which has the positions of classes, as the classes themselves."""
    if spec.task == "regression":
        return column.cast(pl.Float64)
    return column.replace_strict(
        list(range(len(spec.target.classes))), list(spec.target.classes), return_dtype=_truth_type(spec)
    )


def _cells(column: Column, values: list[Any]) -> pl.Series:
    """Return values that were sent as JSON, read as the cleaning reads cells; None where it would not take them."""
    texts = [
        value if isinstance(value, str) or value is None else msgspec.json.encode(value).decode() for value in values
    ]
    plain = replace(column, decimal="", thousands="", units={}, forms=(), null_values=())
    return Cells(plain, Source(null_values=())).clean(pl.Series(column.name, texts, pl.String))[0]


def _made_up(column: Column, spec: Spec, values: pl.Series, asked: list[dict[str, Any]]) -> pl.Series:
    """Fill what callers need not send: each request is an entity of its own, at the time of the request."""
    if column.role == "time" and column.type == "date":
        return values.fill_null(
            pl.Series([row["at"] for row in asked], dtype=pl.Datetime("us", "UTC")).cast(values.dtype)
        )
    if column.role != "entity":
        return values
    if values.dtype.is_numeric():
        own = [-1 - (int(row["id"].replace("-", ""), 16) + row["row"]) % _BITS for row in asked]
    elif values.dtype == pl.String:
        own = [f"{row['id']} {row['row']}" for row in asked]
    else:
        return values
    return values.fill_null(pl.Series(own, dtype=values.dtype, strict=False))


def _decoded(text: str | None) -> Any:
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
