"""Columns of a dataset that come from the feature store (``stored = "robots:rust_level"`` in the spec): a feature of
another dataset, or of the same one, of the entity that a row is about, as it was known at the row's time."""

from datetime import datetime
from typing import Any

import polars as pl

from pantheon.errors import PantheonError
from pantheon.features import computing, rows, training
from pantheon.features.client import Features
from pantheon.features.contract import Chosen, Source
from pantheon.features.views import TYPES
from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.parquet import sink, writing
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.run import Run

DTYPES: dict[str, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Datetime("ms"),
}


def join_stored(store: Features, run: Run, spec: Spec, service: str) -> list[str]:
    """Add the stored columns to ``data/raw.parquet``; return a note for each.

    Args:
        service: the name of the feature service to make for them.

    Raises:
        PantheonError: the store does not answer, or has no such feature of the same entity.
    """
    raw = run.need("data/raw.parquet", "load_data")
    about = whose(pl.scan_parquet(raw, glob=False), spec)
    shape = rows.shape(spec, about)
    if not shape.entity:
        names = ", ".join(repr(column.name) for column in spec.stored)
        raise PantheonError(f"{names} cannot be looked up: {shape.line}.", "Correct the spec and run again.")
    for column in spec.stored:
        source_of(store, column, shape.key)
    wanted = {column.name: column.stored for column in spec.stored}
    chosen = Chosen(name=service, set=spec.name, features=list(dict.fromkeys(wanted.values())), run=run.id)
    service = store.choose(chosen)
    asked = rows.asked(rows.keys(shape, about, datetime.fromisoformat(run.record.created)))
    found = training.answered(store.historical(service, rows.parquet(asked)), about.height, wanted)
    found = found.select(computing.as_cleaned(found[c.name], DTYPES[TYPES[c.type]]) for c in spec.stored)
    add(run, spec, found)
    when = f"each row's {shape.time!r}" if shape.time else "the time of loading"
    return [
        f"{column.name!r} is {column.stored} of each row's {shape.entity!r}, as it was known at {when}: "
        f"{found.height - found[column.name].null_count():,} of {found.height:,} rows have a value"
        for column in spec.stored
    ]


def whose(raw: pl.LazyFrame, spec: Spec) -> pl.DataFrame:
    """Return the columns of raw data that say whose and of what time a row is, cleaned."""
    found = []
    for column in spec.used:
        says = column.role in ("entity", "time") or column.name == spec.split.column or column.type == "date"
        if says and column.role != "target" and not column.stored:
            values = raw.select(column.name).collect().to_series()
            found.append(Cells(column, spec.source, None).clean(values, 0)[0])
    return pl.DataFrame(found)


def add(run: Run, spec: Spec, found: pl.DataFrame) -> None:
    """Add columns to ``data/raw.parquet``. Users' feedback, whose rows have them from the log, keeps its own values."""
    path = run.path("data/raw.parquet")
    raw = pl.scan_parquet(path, glob=False)
    there = raw.collect_schema().names()
    mark = spec.split.train_only
    if again := [name for name in found.columns if name in there]:
        if mark in there:
            own = raw.select(mark, *again).collect()
            fed = Cells(spec.column(mark), spec.source, None).clean(own[mark], 0)[0].fill_null(False)
            found = found.with_columns(
                own[name].cast(found[name].dtype, strict=False).zip_with(fed, found[name]) for name in again
            )
        raw = raw.drop(again)
    with writing(run.folder), run.output("data/raw.parquet") as part:
        sink(pl.concat([raw, found.lazy()], how="horizontal"), part)


def source_of(store: Features, column: Column, key: str) -> Source:
    """Return where a stored column is read online.

    Args:
        key: that of the dataset which has the column.

    Raises:
        PantheonError: there is no such feature, or it has another type, or is of another entity.
    """
    name, _, field = column.stored.partition(":")
    view: dict[str, Any] = store.described(name)
    known = {each["name"]: each for each in view.get("fields", [])}
    if field not in known:
        raise PantheonError(
            f"column {column.name!r}: the view {name} has no feature {field!r}.",
            f"It has {', '.join(sorted(known))}: `bin/pantheon features show {name}`",
        )
    if view.get("key") != key:
        raise PantheonError(
            f"column {column.name!r}: {name} has features of {view.get('entity') or 'no entity'}, and this dataset's "
            f"entity is called {key} in the feature store.",
            "Give the entity's column the same name in both datasets.",
        )
    if known[field]["type"] != TYPES[column.type]:
        what = (
            f"column {column.name!r} has the type {column.type}, and {column.stored} the type {known[field]['type']}."
        )
        raise PantheonError(what, "Correct the column's type in the spec.")
    return Source(view=name, field=field, type=TYPES[column.type], ttl_seconds=float(view.get("ttl_seconds") or 0.0))
