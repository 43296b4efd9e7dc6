"""The spec as a Pandera schema: an independent check, batch by batch, that the cleaned data conforms to the spec.

Measured on 250,000 robots: Pandera 47 ns per row, 17 MB with its dependencies; dataframely 30 ns, 28 MB; expressions
22 ns. None needs pandas; all can validate batch by batch.
"""

from datetime import datetime
from typing import Any

import pandera.polars as pa
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data.cells import Cells
from pantheon.workflow.data.spec import Column, Spec

# Pandera loads its Polars backend at its first use: do that here, not in a batch.
pa.DataFrameSchema().validate(pl.DataFrame())


WIDTH = 100
"""Columns that are validated at once: the time that Pandera takes grows with their square."""
Contract = list[tuple[list[str], pa.DataFrameSchema]]
"""The names of columns, and what they must be; together all columns, in order."""


def schema(spec: Spec, cells: dict[str, Cells]) -> Contract:
    """Return the columns of ``clean.parquet`` with their types, ranges, categories and whether they are nullable."""
    columns = [(column.name, _column(column, spec, cells[column.name])) for column in spec.used]
    parts = [dict(columns[start : start + WIDTH]) for start in range(0, len(columns), WIDTH)]
    return [(list(part), pa.DataFrameSchema(part, strict=True, ordered=True)) for part in parts]


def _column(column: Column, spec: Spec, cells: Cells) -> pa.Column:
    checks = []
    if cells.kind == "class":
        checks.append(pa.Check.in_range(0, len(spec.target.classes) - 1))
    elif cells.kind == "category" and not cells.open:
        checks.append(pa.Check.isin(list(column.categories)))
    elif cells.kind in ("number", "integer", "date"):
        if column.min is not None:
            checks.append(pa.Check.ge(_bound(column.min, cells.dtype)))
        if column.max is not None:
            checks.append(pa.Check.le(_bound(column.max, cells.dtype)))
    return pa.Column(cells.dtype, checks, nullable=column.nullable and not required(column, spec))


def required(column: Column, spec: Spec) -> bool:
    """Whether rows without a value for it are dropped."""
    return not column.nullable or column.name in (spec.target.column, spec.split.column)


def _bound(bound: float | str, dtype: pl.DataType) -> Any:
    if not isinstance(bound, str):
        return bound
    at = datetime.fromisoformat(bound)
    return at.date() if dtype == pl.Date() else at


def validate(batch: pl.DataFrame, contract: Contract) -> None:
    """Check a batch.

    Raises:
        PantheonError: it does not conform to the spec.
    """
    try:
        for names, columns in contract:  # `strict` and `ordered` hold for each part
            columns.validate(batch.select(names))
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        what = f"the cleaned data violates the spec: {str(error).splitlines()[0]}."
        raise PantheonError(what, "This is a bug; please report it.", 1) from error
