"""load_data: copy the source to `data/raw.parquet`, with unchanged cells: text if the source is a text file."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.files import sha256, write_json
from pantheon.workflow.data import formats, textfile
from pantheon.workflow.data.packed import unpacked
from pantheon.workflow.data.parquet import ROW_GROUP, sink, writing
from pantheon.workflow.data.reports import Loaded
from pantheon.workflow.data.rows import TAIL, Left, footer, is_text, key, not_data, without
from pantheon.workflow.data.sources import located
from pantheon.workflow.data.spec import Source
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.outputs import Summary
from pantheon.workflow.run import Run


def load_data(run: Run) -> Summary:
    """Read the source of the run's spec.

    Writes ``data/raw.parquet`` and ``reports/load_data.json``: rows, columns, source, sha256 of the file, seconds.

    Returns:
        rows, columns and source, for the progress line.

    Raises:
        PantheonError: the source cannot be read; names the place.
    """
    started = time.perf_counter()
    spec = read_spec(run.path("spec.toml"))
    with (
        writing(run.folder),
        located(spec.source, run) as given,
        ThreadPoolExecutor(1) as beside,
        tempfile.TemporaryDirectory(prefix=".load-", dir=run.folder) as scratch,
        unpacked(given, Path(scratch)) as path,
        run.output("data/raw.parquet") as part,
    ):
        form = formats.file_format(path, spec.source.format)
        before = version(given)
        digest = beside.submit(sha256, given)  # releases the GIL: costs almost nothing while the file is read
        source = replace(spec.source, format=form)
        frame = formats.scan(path, source, Path(scratch))
        header = frame.collect_schema().names()
        formats.check_columns(path, spec, header, complete=False)
        rows = load(frame, path, source, part)
        left = leave_out(part, Path(scratch))
        rows -= left.rows
        if version(given) != before:
            raise PantheonError(f"{given} changed while it was read.", "Run again when no program writes to it.", 1)
        if rows == 0:
            raise PantheonError(f"{path} has a header but no rows.", "Provide a file with rows.")
        report: Loaded = {
            "rows": rows,
            "columns": header,
            "source": spec.source.path or f"{spec.source.kind} {spec.source.name}",
            "format": form,
            "bytes": given.stat().st_size,
            "sha256": digest.result(),
            "left_out": left.notes(),
            "not_in_spec": [name for name in header if name not in {column.name for column in spec.columns}],
            "seconds": round(time.perf_counter() - started, 3),
        }
    write_json(run.path("reports/load_data.json"), report)
    new = ", ".join(map(repr, report["not_in_spec"][:10])) + (" …" if len(report["not_in_spec"]) > 10 else "")
    notes = left.notes()
    notes += [f"columns that are not in the spec, and not used: {new}. INFER=again adds them"] if new else []
    return {"rows": rows, "columns": len(header), "source": report["source"], "notes": notes}


def version(path: Path) -> tuple[int, int, int]:
    """Return what changes when a program writes or replaces the file."""
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def load(frame: pl.LazyFrame, path: Path, source: Source, part: Path) -> int:
    """Write the frame to ``part`` and return the number of rows. Errors name ``path``."""
    try:
        sink(frame, part)
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as error:
        if source.format in ("parquet", "arrow") and "underlying IO" not in str(error):
            raise formats.damaged(path, source.format) from None
        if source.format == "csv" and "utf-8" in str(error):
            raise textfile.not_utf8(path) from None
        fault = textfile.fault(path, source) if source.format == "csv" else None
        if fault is None:
            raise
        raise fault from None
    loaded = pl.scan_parquet(part)
    rows = int(loaded.select(pl.len()).collect().item())
    ends = footer(loaded.tail(2 * TAIL).collect()) if is_text(loaded) else []
    if source.format == "csv" and loaded.head(rows - len(ends)).select(pl.last().null_count()).collect().item():
        check_short(frame, path, source, rows)
    return rows


def leave_out(part: Path, scratch: Path) -> Left:
    """Remove rows from a Parquet file that are not data, and return which: repeated headers, blank lines, totals."""
    left, loaded = Left(), pl.scan_parquet(part)
    if not is_text(loaded):
        return left
    first = pl.col(key(loaded.collect_schema().names()))
    likely = loaded.select((first.is_null() | (first.str.strip_chars() == first.meta.output_name())).any())
    ends = footer(loaded.tail(2 * TAIL).collect())
    if not ends and not likely.collect().item():
        return left
    rows = int(loaded.select(pl.len()).collect().item()) - len(ends)
    out: list[int] = []
    for start in range(0, rows, ROW_GROUP):
        batch = loaded.slice(start, min(ROW_GROUP, rows - start)).collect()
        if (mask := not_data(batch)) is not None:
            without(batch, start, left)
            out += (mask.arg_true() + start).to_list()
    left.add_ends(ends)
    if left.rows:
        kept = scratch / "kept.parquet"
        sink(loaded.head(rows).with_row_index(" row").filter(~pl.col(" row").is_in(out)).drop(" row"), kept)
        kept.replace(part)
    return left


def check_short(frame: pl.LazyFrame, path: Path, source: Source, rows: int) -> None:
    """Detect short rows, which Polars silently fills with nulls, by the number of separators in the file.

    Raises:
        PantheonError: names the first short line.
    """
    columns = len(frame.collect_schema())
    if textfile.is_utf8(source.encoding) and textfile.separators(path, source) >= rows * (columns - 1):
        return
    fault = textfile.fault(path, source)  # None if blank lines explain the difference
    if fault:
        raise fault
