"""load_data: the source as `data/raw.parquet`, every cell as it stands there; text where the source is text."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
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
        located(spec.source, run.folder, run.state) as path,
        ThreadPoolExecutor(1) as beside,
        run.output("data/raw.parquet") as part,
    ):
        form = readers.file_format(path, spec.source.format)
        digest = beside.submit(sha256, path)  # releases the GIL: as good as free beside the reading
        if form == "csv":
            header = load_csv(path, spec, part, run.folder)
        else:
            header = load_table(path, form, spec, part)
        rows = pl.scan_parquet(part).select(pl.len()).collect().item()
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


def load_csv(path: Path, spec: Spec, part: Path, folder: Path) -> list[str]:
    """A CSV file, streaming, as texts; gives the header. Another encoding than UTF-8 is rewritten first."""
    source = spec.source
    header = readers.csv_header(path, source)
    check_columns(path, spec, header)
    if readers.is_utf8(source.encoding):
        sink_csv(path, path, source, header, part)
        return header
    text = part.with_suffix(".utf8")
    try:
        with text.open("wb") as file:
            readers.transcode(path, source.encoding, file)
        sink_csv(text, path, source, header, part)
    finally:
        text.unlink(missing_ok=True)
    return header


def sink_csv(text: Path, path: Path, source: Source, header: list[str], part: Path) -> None:
    """``text`` is ``path`` in UTF-8; errors speak of ``path``."""
    try:
        sink(readers.scan_csv(text, source, header), part)
    except pl.exceptions.ComputeError as error:
        if "utf-8" in str(error):
            raise not_utf8(path) from None
        fault = readers.fault(path, source, header)
        if fault is None:
            raise
        raise fault from None
    # Polars fills a short row with nulls. It says nothing, but the last column tells that there may be one, and the
    # number of separators whether there is.
    last = pl.scan_parquet(part).select(pl.len(), pl.col(header[-1]).null_count().alias("blank")).collect()
    if last["blank"].item() and readers.separators(text, source) < (last["len"].item() + 1) * (len(header) - 1):
        fault = readers.fault(path, source, header)
        if fault:
            raise fault


def not_utf8(path: Path) -> PantheonError:
    """Where a file stops being UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return readers.wrong_encoding(path, number, "utf-8")
    return readers.wrong_encoding(path, 1, "utf-8")


def load_table(path: Path, form: str, spec: Spec, part: Path) -> list[str]:
    """A Parquet file, streaming, or an Excel sheet; gives the header."""
    if form == "excel":
        frame = readers.read_excel(path, spec.source.sheet).lazy()
    else:
        frame = pl.scan_parquet(path, glob=False)
    try:
        header = frame.collect_schema().names()
        check_columns(path, spec, header)
        sink(frame, part)
    except pl.exceptions.ComputeError as error:
        if "parquet" in str(error) and "underlying IO" not in str(error):
            raise PantheonError(f"{path} is a damaged Parquet file.", "Write it again, or give a CSV.") from None
        raise
    return header


def sink(frame: pl.LazyFrame, part: Path) -> None:
    # lz4 and no statistics: intermediate files are read once or twice, soon.
    frame.sink_parquet(part, compression="lz4", statistics=False, row_group_size=ROW_GROUP)
