"""Backfill: compute an engineered view for stored rows that it lacks.

A run computes its features for its own rows. After the code of a feature changed there is a new view, which has no row
of earlier loads; and a view lacks rows that were pushed since its run. They are computed from the raw view by the
expressions of the run that made the view, as that run would have computed them.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pantheon.errors import PantheonError
from pantheon.features import rows
from pantheon.features.client import Features
from pantheon.features.contract import CREATED, EVENT, View
from pantheon.features.training import as_cleaned
from pantheon.workflow.data.spec import Column
from pantheon.workflow.outputs import Engineered, Preprocessed
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import load_spec, matrix
from pantheon.workflow.training.origins import origins_of

DTYPES: dict[str, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "category": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Datetime("ms"),
}


def fill(state: Path, store: Features, name: str, since: str = "") -> dict[str, Any]:
    """Compute the missing rows of an engineered view and write them.

    Args:
        since: only rows of this time and later, ISO 8601; empty: all.

    Returns:
        ``{"view", "run", "rows", "new"}``: the run whose code was used, how many rows were computed, and how many were
        written.

    Raises:
        PantheonError: the view is not engineered, its run is gone, or the store does not answer.
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
    run = _run(state, view, [each["run"] for each in described["services"]])
    count = new = 0
    for source in sources:
        raw = msgspec.convert(
            {key: value for key, value in store.described(source).items() if key in View.__struct_fields__}, View
        )
        missing = pl.read_parquet(BytesIO(store.missing(source, name, since)))
        for part in versions(missing, view.key):
            written = store.write(name, rows.parquet(computed(view, raw, run, part)), run.id)
            count, new = count + written.rows, new + written.new
    return {"view": name, "run": run.id, "rows": count, "new": new}


def _run(state: Path, view: View, others: list[str]) -> Run:
    """Return a run that computed the view.

    Raises:
        PantheonError: none of them exists any more.
    """
    for id in dict.fromkeys([view.run, *others]):
        try:
            run = Run.find(state, id)
            features = run.read("features/engineered.json", "feature_engineering", Engineered)["features"]
        except PantheonError:
            continue
        if {field.column for field in view.fields} <= {feature["name"] for feature in features}:
            return run
    raise PantheonError(
        f"the run that made {view.name} is gone, and with it the code of its features.",
        "Train again; this makes the view for the rows of the dataset: `run`",
    )


def versions(missing: pl.DataFrame, key: str) -> list[pl.DataFrame]:
    """Return the first versions of all rows, then the first corrections, and so on: a write takes each row once."""
    number = pl.int_range(pl.len()).over(key, EVENT)
    ordered = missing.sort(CREATED, maintain_order=True).with_columns(number.alias("#"))
    return [part.drop("#") for part in ordered.partition_by("#", maintain_order=True)]


def computed(view: View, raw: View, run: Run, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of an engineered view.

    Args:
        raw: the view that ``stored`` has rows of.
        run: has the expressions, and how columns are encoded.
    """
    spec = load_spec(run)
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    features = run.read("features/engineered.json", "feature_engineering", Engineered)["features"]
    fields = {field.column: field.name for field in raw.fields}
    frame = pl.DataFrame([_column(stored, fields.get(column.name, ""), column) for column in spec.features])
    X = matrix(frame, spec.features, origins_of(inputs))
    return rows.engineered(view, stored.select(raw.key, EVENT), features, inputs, X)


def _column(stored: pl.DataFrame, field: str, column: Column) -> pl.Series:
    dtype = DTYPES[column.type]
    if field not in stored.columns:  # it is not needed for these features
        return pl.repeat(None, stored.height, dtype=dtype, eager=True).alias(column.name)
    return as_cleaned(stored[field], dtype).alias(column.name)
