"""Columns that are not in the file: features of the feature store, of the entity that a row is about, at its time.

``pantheon.features`` reads them right after ``load_data``; the stages after it find them in ``data/raw.parquet``.
"""

import re
from collections.abc import Iterator

from pantheon.errors import PantheonError
from pantheon.workflow.data.spec import Column, Spec

REFERENCE = re.compile(r"[0-9A-Za-z_]+:[0-9A-Za-z_]+")
"""A feature in the feature store: its view, and its name there."""


def faults(spec: Spec) -> Iterator[tuple[str, int, str, str]]:
    """Yield what is wrong with the columns and the table ``store`` of a spec: table, index in it, key, and what."""
    for key in ("ttl_days", "freshness_days"):
        if getattr(spec.store, key) < 0:
            yield "store", 0, key, "must be at least 0"
    for index, column in enumerate(spec.columns):
        if column.stored and (what := fault(spec, column)):
            yield "columns", index, "stored", what


def fault(spec: Spec, column: Column) -> str:
    """Return what is wrong with a column that has ``stored``; empty if nothing is."""
    if not REFERENCE.fullmatch(column.stored):
        return f'must be VIEW:FEATURE, such as "robots:rust_level", not {column.stored!r}'
    if column.role != "feature":
        return f"is for inputs of the model; the role of {column.name!r} is {column.role}"
    if not column.nullable:
        return "needs nullable = true: an entity may have no value yet"
    if not any(each.role == "entity" for each in spec.columns):
        return 'needs a column with role = "entity", by which the feature is looked up'
    return ""


def without_store(column: Column) -> PantheonError:
    """Return the error of a deployment, or a repository, that cannot read a stored column."""
    return PantheonError(
        f"column {column.name!r} comes from the feature store (stored = {column.stored!r}), which is not there.",
        "Use a tier that has one: `make tier-hephaestus up`, or remove the column from the spec.",
    )
