"""The rows against which predictions are explained: typical of the training data, or made from the signature."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pantheon.workflow.bundle import reference
from pantheon.workflow.bundle.reference import FILE, Distribution, Reference
from serving.model.fields import Field
from serving.model.signature import Signature
from serving.problems import Refused

ROWS = 16
TRAINING = "typical values of the training data"
SIGNATURE = "values that the signature names, because the model has no typical values of its training data"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Background:
    """``rows``: float32 (rows, inputs), encoded, NaN where missing; ``source``: in words, where they come from."""

    rows: Floats
    source: str


def load(folder: Path, signature: Signature) -> Background:
    """Return the background of a bundle.

    Raises:
        ValueError: ``reference.json`` is malformed or does not fit the signature.
    """
    found = reference.read(folder / FILE)
    if found is None:  # a bundle of an earlier release, or a model that was built elsewhere
        return Background(from_signature(signature), SIGNATURE)
    return Background(from_reference(found, signature), TRAINING)


def from_reference(found: Reference, signature: Signature) -> Floats:
    """Return ``ROWS`` rows whose columns are distributed as in the training, each in a fixed shuffled order.

    Raises:
        ValueError: it does not fit the signature.
    """
    if list(found.columns) != [field.name for field in signature.fields]:
        raise ValueError(f"{FILE} does not describe the inputs of the signature")
    columns = [_spread(each, field) for each, field in zip(found.columns.values(), signature.fields, strict=True)]
    return _shuffled(columns)


def from_signature(signature: Signature) -> Floats:
    """Return ``ROWS`` rows from the ranges, categories and examples of a signature, in a fixed shuffled order."""
    return _shuffled([_values(field) for field in signature.fields])


def _shuffled(columns: list[Floats]) -> Floats:
    return np.random.default_rng(0).permuted(np.stack(columns, axis=1), axis=0)


def _spread(column: Distribution, field: Field) -> Floats:
    """Return ``ROWS`` values in even steps of a distribution, the missing ones last."""
    if column.kind != field.type:
        raise ValueError(f"{FILE} has another type of {field.name!r} than the signature")
    found = np.full(ROWS, np.nan if field.nullable else 0.0, dtype=np.float32)
    present = ROWS - round(column.missing * ROWS) if field.nullable else ROWS
    levels = (np.arange(present) + 0.5) / max(1, present)
    if column.categories:
        try:
            codes = [_code(value, field) for value in column.categories]
        except Refused as refused:
            raise ValueError(f"{FILE}: {field.name!r} has a value that is not {refused}") from None
        ends = np.cumsum(list(column.categories.values()))
        found[:present] = np.array(codes)[np.searchsorted(ends[:-1], levels)]
    elif column.quantiles:
        values = np.array(column.quantiles)
        found[:present] = values[(levels * (len(values) - 1)).round().astype(np.int64)] - field.origin
    return found


def _code(value: str, field: Field) -> float:
    return float(value == "true") if field.type == "boolean" else field.coerce(value)


def _values(field: Field) -> Floats:
    if field.type == "boolean":
        return np.arange(ROWS, dtype=np.float32) % 2
    if field.type == "category":
        return np.arange(ROWS, dtype=np.float32) % max(1, len(field.raw["categories"]))
    ends = [_number(field, value) for value in field.raw.get("seen") or ()]
    if len(ends) != 2 or None in ends:
        limits = [None if value is None else value - field.origin for value in (field.low, field.high)]
        ends = limits if None not in limits else [_number(field, field.raw.get("example"))] * 2
    low, high = ends
    if low is None or high is None:  # nothing is known about this input
        return np.full(ROWS, np.nan if field.nullable else 0.0, dtype=np.float32)
    values = np.linspace(low, high, ROWS)
    return (np.round(values + field.origin) - field.origin if field.type == "integer" else values).astype(np.float32)


def _number(field: Field, value: Any) -> float | None:
    try:
        return None if value is None else field.coerce(value)
    except Refused:
        return None
