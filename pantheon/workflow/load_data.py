"""load_data: the source as `data/raw.parquet`, every cell as it stands there; text where the source is text."""

import hashlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow import readers
from pantheon.workflow.disk import writing
from pantheon.workflow.run import Run, write_json
from pantheon.workflow.sources import located
from pantheon.workflow.spec import Source, Spec

ROW_GROUP = 100_000
"""Rows of a Parquet group. Later stages read one at a time, so it bounds their memory."""


def load_data(run: Run) -> dict[str, Any]:
    """Read the source of the run's spec.

    Writes ``data/raw.parquet`` and ``reports/load_data.json``: rows, columns, source, sha256 of the file, seconds.

    Returns:
        rows, columns and source, for the line of progress.

    Raises:
        PantheonError: what is wrong with the source, and where.
    """
    started = time.perf_counter()
    spec = Spec.read(run.path("spec.toml"))
    with (
        writing(run.folder),
        located(spec.source, run) as path,
        ThreadPoolExecutor(1) as beside,
        tempfile.TemporaryDirectory(prefix=".load-", dir=run.folder) as scratch,
        run.output("data/raw.parquet") as part,
    ):
        form = readers.file_format(path, spec.source.format)
        digest = beside.submit(sha256, path)  # releases the GIL: as good as free beside the reading
        source = replace(spec.source, format=form)
        frame = frame_of(path, source, Path(scratch))
        header = frame.collect_schema().names()
        check_columns(path, spec, header)
        rows = load(frame, path, source, part)
        if rows == 0:
            raise PantheonError(f"{path} has a header and no rows.", "Give a file with rows.")
        report = {
            "rows": rows,
            "columns": header,
            "source": spec.source.path or f"{spec.source.kind} {spec.source.name}",
            "format": form,
            "bytes": path.stat().st_size,
            "sha256": digest.result(),
            "not_in_spec": [name for name in header if name not in {column.name for column in spec.columns}],
            "seconds": round(time.perf_counter() - started, 3),
        }
    write_json(run.path("reports/load_data.json"), report)
    return {"rows": rows, "columns": len(header), "source": report["source"]}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_columns(path: Path, spec: Spec, header: list[str]) -> None:
    """Every column that the spec uses is there.

    Raises:
        PantheonError: names what is missing and what is most like it.
    """
    for column in sorted(spec.used, key=lambda column: column.role != "target"):
        if column.name not in header:
            what = "target" if column.role == "target" else "column"
            cure = readers.nearest(column.name, header) or f"It has {', '.join(map(repr, header[:20]))}."
            raise PantheonError(f"{path} has no {what} {column.name!r}.", cure)


def frame_of(path: Path, source: Source, scratch: Path) -> pl.LazyFrame:
    """The source's file as a lazy frame: a CSV file as texts, blank cells null.

    Args:
        path: the file.
        source: its format must be given, and how it is written.
        scratch: a folder for a copy in UTF-8, where the file has another encoding.

    Raises:
        PantheonError: a bad header, a wrong encoding, a damaged file.
    """
    if source.format == "excel":
        return readers.read_excel(path, source.sheet).lazy()
    if source.format == "parquet":
        frame = pl.scan_parquet(path, glob=False)
        try:
            frame.collect_schema()
        except pl.exceptions.PolarsError:
            raise damaged(path) from None
        return frame
    header = readers.csv_header(path, source)
    if readers.is_utf8(source.encoding):
        return readers.scan_csv(path, source, header)
    copy = scratch / "utf-8.csv"
    with copy.open("wb") as file:
        readers.transcode(path, source.encoding, file)
    return readers.scan_csv(copy, source, header)


def load(frame: pl.LazyFrame, path: Path, source: Source, part: Path) -> int:
    """Write the frame to ``part``; gives the rows. Errors speak of ``path``."""
    try:
        sink(frame, part)
    except pl.exceptions.ComputeError as error:
        if source.format == "parquet" and "underlying IO" not in str(error):
            raise damaged(path) from None
        if source.format == "csv" and "utf-8" in str(error):
            raise readers.not_utf8(path) from None
        fault = readers.fault(path, source, frame.collect_schema().names()) if source.format == "csv" else None
        if fault is None:
            raise
        raise fault from None
    last = pl.scan_parquet(part).select(pl.len(), pl.last().null_count().alias("blank")).collect()
    rows = int(last["len"].item())
    if source.format == "csv" and last["blank"].item():
        check_short(frame, path, source, rows)
    return rows


def check_short(frame: pl.LazyFrame, path: Path, source: Source, rows: int) -> None:
    """Polars fills a short row with nulls and says nothing, but the number of separators in the file tells.

    Raises:
        PantheonError: names the first short line.
    """
    header = frame.collect_schema().names()
    encoded = replace(source, encoding="utf-8")
    if readers.is_utf8(source.encoding) and readers.separators(path, encoded) >= (rows + 1) * (len(header) - 1):
        return
    fault = readers.fault(path, source, header)  # none where blank lines made the difference
    if fault:
        raise fault


def damaged(path: Path) -> PantheonError:
    return PantheonError(f"{path} is a damaged Parquet file.", "Write it again, or give a CSV.")


def sink(frame: pl.LazyFrame, part: Path) -> None:
    # lz4 and no statistics: intermediate files are read once or twice, soon.
    frame.sink_parquet(part, compression="lz4", statistics=False, row_group_size=ROW_GROUP)
