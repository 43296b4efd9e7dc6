"""What training sees of a cell, and what the served model sees of the same cell in a request."""

import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from pantheon.workflow.bundle.write import signature
from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import Cleaner
from pantheon.workflow.stages.clean_data import unread as texts_unread
from pantheon.workflow.training.matrix import Table, to_table
from pantheon.workflow.training.origins import origins
from pantheon.workflow.training.signature import signature_inputs
from serving.model.signature import Signature
from serving.problems import Problem

REFUSED = "refused"


def spec_of(column: Column, source: Source) -> Spec:
    """A spec of one feature."""
    target = Column("y", "number", "target")
    return Spec("t", "regression", source, Target("y"), (column, target))


def served(spec: Spec, train: Table, *given: Any) -> Signature:
    """The signature as serving reads it from its file."""
    return Signature(json.loads(json.dumps(signature(spec, signature_inputs(spec, train, *given)))))


def in_training(texts: list[str], column: Column, source: Source) -> list[float | str]:
    """The model's number of every cell, NaN if it is missing; ``REFUSED`` if it is unreadable."""
    cells = Cells(column, source)
    values, _ = cells.clean(pl.Series(column.name, texts, dtype=pl.String))
    X = to_table(pl.DataFrame([values]).with_columns(y=pl.lit(0.0)), spec_of(column, source)).X
    empty = values.is_null().to_list()  # missing, or unreadable
    bad = [
        none and cells.clean(pl.Series(column.name, [text], dtype=pl.String))[1].unreadable
        for none, text in zip(empty, texts, strict=True)
    ]
    return [REFUSED if wrong else float(x) for x, wrong in zip(X[:, 0], bad, strict=True)]


def in_serving(values: list[Any], column: Column, source: Source) -> list[float | str]:
    """The same for the values of requests."""
    read = served(spec_of(column, source), Table(np.zeros((1, 1), np.float32), np.zeros(1)))
    found: list[float | str] = []
    for value in values:
        try:
            found.append(float(read.encode([{column.name: value}])[0, 0]))
        except Problem as problem:
            assert problem.status == 422 and problem.field == column.name and problem.expected, problem
            found.append(REFUSED)
    return found


def same(one: float | str, other: float | str) -> bool:
    return one == other or (one != REFUSED != other and math.isnan(float(one)) and math.isnan(float(other)))


def as_json(value: Any) -> Any:
    """A cell as people copy it from their file into a request."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else float(value)


def differences(run: Run) -> Iterator[str]:
    """Send every row of a run that has cleaned its data; yield what differs from what training saw.

    A row with a number or date outside min … max, which training takes as missing, must be refused.
    """
    spec = read_spec(run.path("spec.toml"))
    raw = pl.read_parquet(run.path("data/raw.parquet"))
    cleaner = Cleaner(spec)
    names = [column.name for column in spec.features]
    outside = {}
    unread = {}
    columns = {}
    for name in cleaner.cells:
        cells = cleaner.cells[name]
        columns[name], counts = cells.clean(raw[name])
        unread[name] = texts_unread(counts)
        if counts.kinds["outside"] and name in names:
            cell = [cells.clean(raw[name].slice(place, 1))[1].kinds["outside"] for place in range(raw.height)]
            outside[name] = np.array(cell, dtype=bool)
    frame = pl.DataFrame(list(columns.values())).with_row_index("row of the file")
    for name in cleaner.required:
        frame = frame.filter(pl.col(name).is_not_null())
    places = frame["row of the file"].to_list()
    frame = frame.drop("row of the file")
    given = origins(frame, spec)
    table = to_table(frame, spec, origins=given)
    read = served(spec, table, given, unread)
    texts = raw.select(names).with_columns(
        pl.col(pl.Float32).cast(pl.String).cast(pl.Float64), pl.col(pl.Decimal).cast(pl.Float64)
    )
    rows = [{name: as_json(value) for name, value in row.items()} for row in texts.to_dicts()]
    for place, wanted in zip(places, table.X, strict=True):
        bad = [name for name, cells in outside.items() if cells[place]]
        try:
            got = read.encode([rows[place]])[0]
        except Problem as problem:
            if problem.field not in bad:
                yield f"row {place}: {problem}"
            continue
        if bad:
            yield f"row {place}: {bad} was answered"
        for name, x, z in zip(names, wanted, got, strict=True):
            if not (x == z or (np.isnan(x) and np.isnan(z))):
                yield f"row {place}, {name!r}: {rows[place][name]!r} was {x} in training and {z} in serving"
