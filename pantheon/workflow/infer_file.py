"""What a file is written like, and a bounded sample of its rows."""

import codecs
import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow import readers
from pantheon.workflow.forms import usable
from pantheon.workflow.infer_column import named_id
from pantheon.workflow.load_data import frame_of
from pantheon.workflow.spec import Source

SEPARATORS = ",;\t|"
HEAD = 1 << 17
SAMPLE_ROWS = 50_000
SAMPLE_CELLS = 2_000_000
DISTINCT = 200
"""Distinct texts of a column that are followed through the whole file; a column with more is no small category."""


@dataclass(frozen=True)
class Sample:
    """Rows from all over a file.

    Attributes:
        frame: every ``step``-th row, in order.
        rows: rows of the file.
        distinct: all values of a column as text, for those with few.
        different: how many values a column has, about, for those whose sample cannot tell.
    """

    frame: pl.DataFrame
    rows: int
    step: int
    distinct: dict[str, set[str]]
    different: dict[str, int]


def encoding_of(path: Path) -> str:
    """utf-8, utf-16 (with its mark, or -le or -be without one), cp1252 or latin-1. Reads all of it, in chunks."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    return next((encoding for encoding in ("utf-8", "cp1252") if _decodes(path, encoding)), "latin-1")


def _decodes(path: Path, encoding: str) -> bool:
    with path.open(encoding=encoding, newline="") as file:
        try:
            while file.read(readers.CHUNK):
                pass
        except UnicodeDecodeError:
            return False
    return True


def separator_of(path: Path, encoding: str) -> str:
    """The mark that gives most records as many fields as the header, and more than one."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        text = file.read(HEAD)
    scores = {}
    for separator in SEPARATORS:
        records = [record for record in _records(text, separator) if record]
        if len(text) == HEAD and len(records) > 1:
            records.pop()  # cut off
        width = len(records[0]) if records else 0
        same = sum(len(record) == width for record in records) / max(1, len(records))
        scores[separator] = (width > 1, round(same, 1), width)
    return max(scores, key=lambda separator: scores[separator])


def _records(text: str, separator: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error:  # bad quotes: the records before them tell enough
        return


def source_of(path: Path) -> Source:
    """How the file is written, but for the style of its numbers."""
    form = readers.file_format(path)
    source = Source(kind="file", path=path.name if path.parent.name == "data" else str(path), format=form)
    if form == "csv":
        encoding = encoding_of(path)
        source = replace(source, encoding=encoding, separator=separator_of(path, encoding))
    return source


@contextmanager
def opened(path: Path, source: Source) -> Iterator[pl.LazyFrame]:
    """The file as a lazy frame, as `load_data` reads it."""
    with tempfile.TemporaryDirectory(prefix="infer-") as scratch:
        yield frame_of(path, source, Path(scratch))


def sample_of(path: Path, source: Source, frame: pl.LazyFrame) -> Sample:
    """Every so many rows, doubled each time there are too many: bounded memory, the whole file seen, always the same.

    Raises:
        PantheonError: a line is broken, or there are no rows.
    """
    header = frame.collect_schema().names()
    limit = max(100, min(SAMPLE_ROWS, SAMPLE_CELLS // len(header)))
    kept: list[pl.DataFrame] = []
    distinct: dict[str, set[str]] = {name: set() for name in header}
    rows, step, held = 0, 1, 0
    try:
        for batch in frame.collect_batches(chunk_size=limit, maintain_order=True):
            part = batch.slice((-rows) % step).gather_every(step)
            kept.append(part)
            held += part.height
            rows += batch.height
            if held > 2 * limit:
                whole = pl.concat(kept).gather_every(2)
                kept, held, step = [whole], whole.height, step * 2
            for name in list(distinct):
                follow(distinct, name, batch[name])
    except pl.exceptions.PolarsError as error:
        fault = readers.fault(path, source, header) if source.format == "csv" else None
        raise fault or PantheonError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
    if rows == 0:
        raise PantheonError(f"{path} has a header and no rows.", "Give a file with rows.")
    many = [name for name in header if step > 1 and named_id(name) and name not in distinct]
    different = frame.select(pl.col(many).approx_n_unique()).collect(engine="streaming").row(0) if many else ()
    return Sample(pl.concat(kept, rechunk=True), rows, step, distinct, dict(zip(many, different, strict=True)))


def follow(distinct: dict[str, set[str]], name: str, values: pl.Series) -> None:
    """Add a batch's values to those seen in a column; give the column up where they are many."""
    if not usable(values.dtype):
        del distinct[name]
        return
    here = values.unique()
    if len(here) <= 4 * DISTINCT:
        distinct[name].update(here.cast(pl.String).str.strip_chars().drop_nulls().to_list())
    if len(here) > 4 * DISTINCT or len(distinct[name]) > DISTINCT:
        del distinct[name]
