"""The rows against which predictions are explained: of the bundle, or made from the signature."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.model.fields import Field
from serving.model.signature import Signature
from serving.problems import Refused

FILE, FORMAT = "background.json", 1
ROWS = 16  # that are made from a signature
MOST_ROWS = 64  # that are used of a file
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
        ValueError: ``background.json`` is malformed or does not fit the signature.
    """
    path = folder / FILE
    if not path.exists():  # a bundle of an earlier release, or a model that was built elsewhere
        return Background(from_signature(signature), SIGNATURE)
    raw = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f"{FILE} does not have the format {FORMAT}")
    try:
        rows = np.array(raw["rows"][:MOST_ROWS], dtype=np.float32)  # None becomes NaN
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{FILE}: its rows are not rows of numbers: {error}") from None
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(signature.fields):
        raise ValueError(f"{FILE} has rows of shape {rows.shape}; the signature has {len(signature.fields)} inputs")
    return Background(rows, TRAINING)


def from_signature(signature: Signature) -> Floats:
    """Return ``ROWS`` rows from the ranges, categories and examples of a signature, in a fixed shuffled order."""
    columns = np.stack([_values(field) for field in signature.fields], axis=1)
    return np.random.default_rng(0).permuted(columns, axis=0)


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
