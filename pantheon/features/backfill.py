"""Backfill: compute an engineered view for stored rows that it lacks.

A run computes its features for its own rows. After the code of a feature changed there is a new view, which has no row
of earlier loads. They are computed from the raw view by the view's own code, as the run that defined it would have
computed them. (What is pushed is computed at once.)
"""

from io import BytesIO
from typing import Any

import msgspec
import polars as pl

from pantheon.errors import PantheonError
from pantheon.features import rows
from pantheon.features.client import Features
from pantheon.features.computing import computed
from pantheon.features.contract import CREATED, EVENT, View


def fill(store: Features, name: str, since: str = "") -> dict[str, Any]:
    """Compute the missing rows of an engineered view and write them.

    Args:
        since: only rows of this time and later, ISO 8601; empty: all.

    Returns:
        ``{"view", "run", "rows", "new"}``: the run that made the view, how many rows were computed, and how many were
        written.

    Raises:
        PantheonError: the view is not engineered, or the store does not answer.
    """
    described = store.described(name)
    if described["kind"] != "engineered":
        raise PantheonError(
            f"{name} has the columns of the dataset {described['set']}; nothing is computed in it.",
            "`bin/pantheon features list` shows the engineered views.",
        )
    view = msgspec.convert({key: described[key] for key in View.__struct_fields__}, View)
    sources = described["lineage"]["of"]
    if not sources:
        raise PantheonError(f"no view has the columns that {name} is computed from.", "Train again: `run`")
    if view.code is None:
        cure = "Train again; this makes the view for the rows of the dataset: `run`"
        raise PantheonError(f"the code of {name} is not known.", cure)
    count = new = 0
    for source in sources:
        raw = msgspec.convert(
            {key: value for key, value in store.described(source).items() if key in View.__struct_fields__}, View
        )
        missing = pl.read_parquet(BytesIO(store.missing(source, name, since)))
        for part in versions(missing, view.key):
            made = computed(view, view.code, raw, part).with_columns(pl.col(EVENT).alias(CREATED))
            written = store.write(name, rows.parquet(made), view.run)
            count, new = count + written.rows, new + written.new
    return {"view": name, "run": view.run, "rows": count, "new": new}


def versions(missing: pl.DataFrame, key: str) -> list[pl.DataFrame]:
    """Return the first versions of all rows, then the first corrections, and so on: a write takes each row once."""
    number = pl.int_range(pl.len()).over(key, EVENT)
    ordered = missing.sort(CREATED, maintain_order=True).with_columns(number.alias("#"))
    return [part.drop("#") for part in ordered.partition_by("#", maintain_order=True)]
