"""Take a sample of bounded size evenly from a file, without rows that are not data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data import textfile
from pantheon.workflow.data.cells import usable
from pantheon.workflow.data.infer_column import named_id
from pantheon.workflow.data.rows import TAIL, Left, footer, is_text, without
from pantheon.workflow.data.spec import Source

SAMPLE_ROWS = 50_000
SAMPLE_CELLS = 2_000_000
DISTINCT = 200
"""Distinct values of a column that are collected from the complete file; a column with more is not a small category."""


@dataclass(frozen=True)
class Sample:
    """Rows taken evenly from a file.

    Attributes:
        frame: every ``step``-th row, in order.
        rows: rows of the file.
        distinct: all values as text, of columns with few distinct values.
        different: approximate number of distinct values, of columns for which the sample does not show it.
        left: rows that are not data.
    """

    frame: pl.DataFrame
    rows: int
    step: int
    distinct: dict[str, set[str]]
    different: dict[str, int]
    left: Left


def sample_of(path: Path, source: Source, frame: pl.LazyFrame) -> Sample:
    """Take every n-th row, where n doubles whenever the sample grows too large: bounded memory, and deterministic.

    Raises:
        PantheonError: a line is malformed, or the file has no rows.
    """
    header = frame.collect_schema().names()
    limit = max(100, min(SAMPLE_ROWS, SAMPLE_CELLS // len(header)))
    kept: list[pl.DataFrame] = []
    distinct: dict[str, set[str]] = {name: set() for name in header}
    rows, step, held, left = 0, 1, 0, Left()
    try:
        for batch in data(frame, limit, left):
            part = batch.slice((-rows) % step).gather_every(step)
            kept.append(part)
            held += part.height
            rows += batch.height
            if held > 2 * limit:
                thinned = pl.concat(kept).gather_every(2)
                kept, held, step = [thinned], thinned.height, step * 2
            for name in list(distinct):
                follow(distinct, name, batch[name])
    except pl.exceptions.PolarsError as error:
        fault = textfile.fault(path, source) if source.format == "csv" else None
        raise fault or PantheonError(
            f"{path} cannot be read: {str(error).splitlines()[0]}.", "Write it again with usual types, or as CSV."
        ) from None
    if rows == 0:
        raise PantheonError(f"{path} has a header but no rows.", "Provide a file with rows.")
    many = [name for name in header if step > 1 and named_id(name) and name not in distinct]
    different = frame.select(pl.col(many).approx_n_unique()).collect(engine="streaming").row(0) if many else ()
    return Sample(pl.concat(kept, rechunk=True), rows, step, distinct, dict(zip(many, different, strict=True)), left)


def data(frame: pl.LazyFrame, size: int, left: Left) -> Iterator[pl.DataFrame]:
    """Yield batches of rows; those that are not data are added to ``left`` instead."""
    text = is_text(frame)
    seen, tail = 0, None
    for batch in frame.collect_batches(chunk_size=size, maintain_order=True):
        here = without(batch, seen, left) if text else batch
        seen += batch.height
        if text:  # the last rows wait: they may be totals
            here = here if tail is None else pl.concat([tail, here])
            here, tail = here.head(-TAIL), here.tail(TAIL)
        if here.height:
            yield here
    if tail is not None:
        ends = footer(tail)
        left.add_ends(ends)
        yield tail.head(tail.height - len(ends))


def follow(distinct: dict[str, set[str]], name: str, values: pl.Series) -> None:
    """Add a batch's values to the distinct values of a column; stop collecting if there are too many."""
    if not usable(values.dtype):
        del distinct[name]
        return
    here = values.unique()
    if len(here) <= 4 * DISTINCT:
        distinct[name].update(here.cast(pl.String).str.strip_chars().drop_nulls().to_list())
    if len(here) > 4 * DISTINCT or len(distinct[name]) > DISTINCT:
        del distinct[name]
