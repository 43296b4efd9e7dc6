"""The inputs of ``signature.json``: what each one accepts, and what to show in a form."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pantheon.workflow.data.date_forms import DATES, TIMES
from pantheon.workflow.data.spec import Column, Source, Spec, Value
from pantheon.workflow.outputs import Input, Texts
from pantheon.workflow.training.matrix import NO_ORIGINS, Table, iso
from pantheon.workflow.training.origins import original

TEXTS = 1
"""The version of ``text`` in signatures."""


def texts(source: Source) -> Texts:
    """Return how texts are read, for all inputs: ``text`` of ``signature.json``."""
    missing = sorted({text.strip().lower() for text in source.null_values} - {""})
    return {"version": TEXTS, "missing": missing, "decimal": source.decimal, "thousands": source.thousands}


def texts_of(column: Column, unread: Sequence[str] = ()) -> Texts:
    """Return how texts of one input are read, in addition to ``texts``."""
    found: Texts = {}
    if column.null_values or unread:
        found["missing"] = [*column.null_values, *unread]
    if column.type == "boolean":
        found |= {"true": list(column.true), "false": list(column.false)}
    elif column.type == "date":
        formats = dict.fromkeys(form for form in (column.format, *column.formats, *DATES, *TIMES) if form)
        found |= {"formats": list(formats), "time": column.has_time}
    elif column.type in ("number", "integer"):
        if column.decimal:
            found |= {"decimal": column.decimal, "thousands": column.thousands}
        if column.units:
            found["units"] = dict(column.units)
        if column.forms:
            found["forms"] = list(column.forms)
    return found


def signature_inputs(
    spec: Spec,
    train: Table,
    origins: Mapping[str, float] = NO_ORIGINS,
    unread: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Input]:
    """Return the inputs for ``signature.json``; ``seen`` and default examples come from the training part.

    Args:
        unread: texts by column that cleaning could not read: the model learnt from them as missing values.
    """
    inputs: list[Input] = []
    for column, values in zip(spec.features, train.X.T, strict=True):
        entry: Input = {"name": column.name, "type": column.type, "nullable": column.nullable}
        if text := texts_of(column, unread.get(column.name, ())):
            entry["text"] = text
        if column.name in origins:
            entry["origin"] = origins[column.name]
        has_time = column.has_time or "origin" in entry
        seen = original(values[~np.isnan(values)], entry)
        if column.description:
            entry["description"] = column.description
        if column.type == "category":
            entry["categories"] = list(column.categories)
            entry["unknown"] = column.unknown
        if column.min is not None:
            entry["min"] = column.min
        if column.max is not None:
            entry["max"] = column.max
        if len(seen) and column.type in ("number", "integer", "date"):
            low, high = float(seen.min()), float(seen.max())
            if "origin" in entry:  # without the rounding of the sum
                low, high = float(f"{low:.15g}"), float(f"{high:.15g}")
            entry["seen"] = [iso(low, has_time), iso(high, has_time)] if column.type == "date" else [low, high]
        digits = 15 if "origin" in entry else 6
        example = column.example if column.example is not None else _example(column, seen, digits, has_time)
        if example is not None:
            entry["example"] = example
        inputs.append(entry)
    return inputs


def _example(column: Column, seen: NDArray[np.float64], digits: int, has_time: bool) -> Value | None:
    if not len(seen):
        return None
    values, counts = np.unique(seen, return_counts=True)
    usual = float(values[counts.argmax()])
    middle = float(np.quantile(seen, 0.5, method="nearest"))
    if column.type == "category":
        return column.categories[int(usual)]
    if column.type == "boolean":
        return bool(usual)
    if column.type == "date":
        return iso(middle, has_time)
    return int(middle) if column.type == "integer" else float(f"{middle:.{digits}g}")
