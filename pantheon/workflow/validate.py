"""The spec as a Pandera schema: an independent check, batch by batch, that cleaning made what the spec promises.

Tried on 250,000 robots: Pandera 47 ns a row, 17 MB with what it needs; dataframely 30 ns, 28 MB; expressions 22 ns.
None needs pandas; all stream when they are handed batches.
"""

from datetime import datetime
from typing import Any

import pandera.polars as pa
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.cells import Cells
from pantheon.workflow.spec import Column, Spec

# Pandera loads what it needs for Polars at its first use; let that be here, not within a batch.
pa.DataFrameSchema().validate(pl.DataFrame())


def schema(spec: Spec, cells: dict[str, Cells]) -> pa.DataFrameSchema:
    """The columns of ``clean.parquet`` with their types, ranges, categories and what may be missing."""
    columns = {column.name: _column(column, spec, cells[column.name]) for column in spec.used}
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


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
    """Are rows without it left out?"""
    return not column.nullable or column.name in (spec.target.column, spec.split.column)


def _bound(bound: float | str, dtype: pl.DataType) -> Any:
    if not isinstance(bound, str):
        return bound
    at = datetime.fromisoformat(bound)
    return at.date() if dtype == pl.Date() else at


def validate(batch: pl.DataFrame, contract: pa.DataFrameSchema) -> None:
    """Raises PantheonError where a batch does not keep the contract."""
    try:
        contract.validate(batch)
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        what = f"cleaned data breaks the spec: {str(error).splitlines()[0]}."
        raise PantheonError(what, "Please report this.", 1) from error
