"""Read a file for prediction, as the workflow reads a file of ``DATA=``: the model's inputs stand for the target."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data import formats
from pantheon.workflow.data.cells import usable
from pantheon.workflow.data.layout import source_of
from pantheon.workflow.data.packed import unpacked
from pantheon.workflow.data.rows import TAIL, footer, is_text, not_data
from pantheon.workflow.stages.load_data import load
from serving.model.fields import Field

TRIES = 5  # inputs by which the header is looked for
ROW, REASON = "refused_row", "refused_because"  # columns of the file of refused rows; left out if that is read again
REPEATED, BLANK, NOTE = "it repeats the header", "it is blank", "it looks like a total or a note below the table"
KNOWN = {"kind": "file"}  # so that the columns may be missing: this module says which


@dataclass(frozen=True)
class Table:
    """A file's rows, as they were read: ``path`` is a Parquet file.

    Attributes:
        rows: how many there are, with those that are not data.
        columns: the file's columns.
        missing: inputs of the model that the file does not have, and that may be missing.
        ends: how many rows at its end are totals or notes.
    """

    path: Path
    rows: int
    columns: list[str]
    missing: list[str]
    ends: int

    def batches(self, size: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield the rows, ``size`` at a time: those that are data; and the others, with a column ``REASON``.

        Both have a column ``ROW``, the number of the row in the file from 1, without its header.
        """
        scanned, text = pl.scan_parquet(self.path), is_text(pl.scan_parquet(self.path))
        for start in range(0, self.rows, size):
            frame = scanned.slice(start, min(size, self.rows - start)).collect()
            reason = pl.Series([None] * frame.height, dtype=pl.String)
            if text and (mask := not_data(frame)) is not None:
                blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
                kind = pl.select(pl.when(blank).then(pl.lit(BLANK)).otherwise(pl.lit(REPEATED))).to_series()
                reason = kind.zip_with(mask, reason)
            if (end := start + frame.height - (self.rows - self.ends)) > 0:
                places = pl.Series(range(frame.height)) >= frame.height - end
                reason = pl.Series([NOTE]).extend_constant(NOTE, frame.height - 1).zip_with(places, reason)
            frame = frame.drop(ROW, REASON, strict=False)
            numbered = frame.with_row_index(ROW, offset=start + 1).with_columns(pl.col(ROW).cast(pl.Int64))
            yield (
                numbered.filter(reason.is_null()),
                numbered.with_columns(reason.rename(REASON)).filter(reason.is_not_null()),
            )


def read_table(file: Path, fields: list[Field], header: str, scratch: Path) -> Table:
    """Read a file.

    Args:
        file: CSV, Parquet, Excel or another format that ``DATA=`` takes, also compressed.
        header: "none" if no line of the file names the columns.
        scratch: an empty folder for copies.

    Raises:
        PantheonError: it cannot be read, or does not have a column that the model needs.
    """
    needed = [field.name for field in fields if not field.nullable]
    names = [*needed, *(field.name for field in fields if field.nullable)]
    with unpacked(file, scratch) as path:
        for name in names[:TRIES]:  # the header may begin anywhere: it is where a column of the model is
            source = source_of(path, name, header, KNOWN)
            frame = formats.scan(path, source, scratch)
            columns = frame.collect_schema().names()
            if set(names) & set(columns):
                break
        missing = [name for name in names if name not in columns]
        if bad := [name for name in missing if name in needed] or (missing if len(missing) == len(names) else []):
            cure = formats.nearest(bad[0], columns) or f"It has {', '.join(map(repr, columns[:20]))}."
            raise PantheonError(f"{path} has no column {bad[0]!r}, which the model needs.", cure)
        for name, dtype in frame.collect_schema().items():
            if name in names and not usable(dtype):
                cure = "Write the column as numbers, texts or dates."
                raise PantheonError(f"{path}: the column {name!r} has the type {dtype}.", cure)
        part = scratch / "table.parquet"
        rows = load(frame, path, source, part)
        if rows == 0:
            raise PantheonError(f"{path} has a header but no rows.", "Provide a file with rows.")
    loaded = pl.scan_parquet(part)
    ends = footer(loaded.tail(2 * TAIL).collect()) if is_text(loaded) else []
    return Table(part, rows, columns, missing, len(ends))
