"""clean_data: `data/raw.parquet` as the spec has it, in `data/clean.parquet`; what was done is reported by column."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from pantheon.errors import PantheonError
from pantheon.workflow.cells import Cells, Counts
from pantheon.workflow.disk import writing
from pantheon.workflow.forms import usable
from pantheon.workflow.load_data import ROW_GROUP, check_columns, sink
from pantheon.workflow.run import Run, write_json
from pantheon.workflow.spec import Column, Spec, label_key
from pantheon.workflow.validate import required, schema, validate

CELLS = 4_000_000
"""Cells in a batch, at most: wide tables take fewer rows at once."""
WORKERS = 2
"""Batches cleaned side by side. Polars releases the GIL, and the sink writes meanwhile; more gave nothing."""

WORDS = {
    "missing": "blank, or a word for missing",
    "trimmed": "spaces around a value taken away",
    "case": "written otherwise, taken for the known value",
    "number mark": "number marks taken away",
    "other form": "a date in another form",
    "unreadable": "unreadable, made missing",
    "outside": "outside min … max, made missing",
}


@dataclass
class Found:
    """What was found in all batches so far."""

    columns: dict[str, Counts]
    dropped: dict[str, int]
    rows_in: int = 0
    rows_out: int = 0
    classes: "np.ndarray[Any, np.dtype[np.int64]]" = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, other: "Found") -> None:
        for name, counts in other.columns.items():
            self.columns[name].add(counts)
        for name, count in other.dropped.items():
            self.dropped[name] += count
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.classes = self.classes + other.classes


class Cleaner:
    """Cleans batches by a spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        classification = spec.task == "classification"
        self.cells = {}
        for column in spec.used:
            classes = spec.target if classification and column.role == "target" else None
            self.cells[column.name] = Cells(as_used(column, spec), spec.source, classes)
        self.required = [column.name for column in spec.used if required(column, spec)]
        self.required.sort(key=lambda name: name != spec.target.column)
        self.contract = schema(spec, self.cells)

    @property
    def output(self) -> dict[str, pl.DataType]:
        return {name: cells.dtype for name, cells in self.cells.items()}

    def empty(self) -> Found:
        found = Found({name: Counts() for name in self.cells}, dict.fromkeys(self.required, 0))
        found.classes = np.zeros(len(self.spec.target.classes), dtype=np.int64)
        return found

    def clean(self, raw: pl.DataFrame, offset: int) -> tuple[pl.DataFrame, Found]:
        """A batch that begins at row ``offset``: its clean rows, and what was found."""
        found = self.empty()
        columns = []
        for name, cells in self.cells.items():
            values, found.columns[name] = cells.clean(raw[name], offset)
            columns.append(values)
        frame = pl.DataFrame(columns)
        found.rows_in = frame.height
        for name in self.required:
            if frame[name].null_count():
                found.dropped[name] = frame[name].null_count()
                frame = frame.filter(pl.col(name).is_not_null())
        found.rows_out = frame.height
        if len(found.classes):
            codes = frame[self.spec.target.column].to_numpy()
            found.classes = np.bincount(codes, minlength=len(found.classes)).astype(np.int64)
        validate(frame, self.contract)
        return frame, found


def as_used(column: Column, spec: Spec) -> Column:
    """The target of a regression is a number with a fraction, however it is written."""
    if column.role == "target" and spec.task == "regression":
        return replace(column, type="number")
    return column


def clean_data(run: Run) -> dict[str, Any]:
    """Clean the run's raw data by its spec, in batches: memory stays the same however many rows.

    Rows keep their order. Exact duplicates stay: to find them all takes the whole table in memory, and rows of
    one entity never come apart in the split.

    Writes ``data/clean.parquet`` and ``reports/clean_data.json``: rows_in, rows_out, changes, violations,
    missing, classes.

    Returns:
        rows_in, rows_out and cells changed, for the line of progress.

    Raises:
        PantheonError: the data breaks the contract that the spec states; names column, row and value.
    """
    started = time.perf_counter()
    raw = run.need("data/raw.parquet", "load_data")
    spec = Spec.read(run.path("spec.toml"))
    frame = pl.scan_parquet(raw, glob=False)
    check_columns(Path(spec.source.path or spec.source.name), spec, frame.collect_schema().names())
    for column in spec.used:
        dtype = frame.collect_schema()[column.name]
        if not usable(dtype):
            raise PantheonError(f"column {column.name!r} is {dtype}, not a {column.type}.", 'Set its role to "ignore".')
    cleaner = Cleaner(spec)
    found = cleaner.empty()
    with writing(run.folder), run.output("data/clean.parquet") as part:
        write(cleaner, frame.select(list(cleaner.cells)), found, part)
        violations = broken(spec, found)
        if violations:
            write_json(run.path("reports/clean_data.json"), report(spec, found, violations, started))
            more = f" ({len(violations) - 1} more in reports/clean_data.json.)" if len(violations) > 1 else ""
            raise PantheonError(violations[0]["what"], violations[0]["cure"] + more)
    summary = report(spec, found, [], started)
    write_json(run.path("reports/clean_data.json"), summary)
    changed = sum(change["count"] for change in summary["changes"])
    return {"rows_in": found.rows_in, "rows_out": found.rows_out, "changed": changed}


def write(cleaner: Cleaner, frame: pl.LazyFrame, found: Found, part: Path) -> None:
    """Stream ``frame`` through the cleaner into a Parquet file."""
    rows = max(1000, min(ROW_GROUP, CELLS // max(1, len(cleaner.cells))))
    failed: list[BaseException] = []

    def batches(*_: Any) -> Iterator[pl.DataFrame]:
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                queue: deque[Future[tuple[pl.DataFrame, Found]]] = deque()
                for number, batch in enumerate(frame.collect_batches(chunk_size=rows, maintain_order=True)):
                    queue.append(pool.submit(cleaner.clean, batch, number * rows))
                    if len(queue) > WORKERS:
                        yield next_of(queue)
                while queue:
                    yield next_of(queue)
        except BaseException as error:  # Polars would wrap it in one of its own
            failed.append(error)
            raise

    def next_of(queue: deque[Future[tuple[pl.DataFrame, Found]]]) -> pl.DataFrame:
        clean, seen = queue.popleft().result()
        found.add(seen)
        return clean

    try:
        sink(register_io_source(batches, schema=cleaner.output, validate_schema=False), part)
    except Exception:
        if failed and isinstance(failed[0], PantheonError):
            raise failed[0] from None
        raise


def broken(spec: Spec, found: Found) -> list[dict[str, str]]:
    """Every way in which the data breaks the spec's contract: column, what, cure; the target's come first."""
    violations = []

    def add(column: str, what: str, cure: str) -> None:
        violations.append({"column": column, "what": what, "cure": cure})

    target = spec.target.column
    counts = found.columns[target]
    if counts.rows and counts.missing == counts.rows and not counts.unreadable:
        add(target, f"the target {target!r} is missing in every row.", "Choose another TARGET.")
        return violations
    for column in sorted(spec.used, key=lambda column: column.name != target):
        counts = found.columns[column.name]
        if counts.unreadable > column.max_unreadable * counts.rows and counts.first:
            row, text = counts.first
            add(
                column.name,
                f"column {column.name!r}, row {row + 1:,}: {shorten(text)!r} is not {wanted(column, spec)}; "
                f"{counts.unreadable:,} of {counts.rows:,} cells ({counts.unreadable / counts.rows:.1%}) are "
                f"unreadable, the spec allows {column.max_unreadable:.1%}.",
                "Correct the data, or the column's type, range, categories or max_unreadable in the spec.",
            )
        elif counts.missing > column.max_missing * counts.rows:
            add(
                column.name,
                f"column {column.name!r} is missing in {counts.missing:,} of {counts.rows:,} rows "
                f"({counts.missing / counts.rows:.1%}; max_missing is {column.max_missing:.1%}).",
                'Raise max_missing in the spec, or set role = "ignore".',
            )
    if violations:
        return violations
    if not found.rows_out:
        most = max(found.dropped, key=lambda name: found.dropped[name])
        what = f"no row is left: {most!r} is missing in {found.dropped[most]:,} of {found.rows_in:,}."
        add(most, what, "Set nullable = true in the spec.")
    elif spec.task == "classification":
        there = [label_key(spec.target.classes[index]) for index in np.flatnonzero(found.classes)]
        if len(there) < 2:
            add(target, f"the target {target!r} has one class only: {there[0]}.", "Give data with two classes or more.")
    return violations


def wanted(column: Column, spec: Spec) -> str:
    """What a cell of this column should be."""
    if column.role == "target" and spec.task == "classification":
        return "one of the classes"
    if column.type == "category":
        return "a known category"
    kind = {"integer": "a whole number", "boolean": "true or false"}.get(column.type, f"a {column.type}")
    if column.min is not None and column.max is not None:
        return f"{kind} from {column.min} to {column.max}"
    if column.min is not None:
        return f"{kind} of at least {column.min}"
    return kind if column.max is None else f"{kind} of at most {column.max}"


def shorten(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def report(spec: Spec, found: Found, violations: list[dict[str, str]], started: float) -> dict[str, Any]:
    """reports/clean_data.json."""
    changes = [
        {"column": name, "what": WORDS[kind], "count": count}
        for name, counts in found.columns.items()
        for kind, count in counts.kinds.items()
        if count
    ]
    changes += [
        {"column": name, "what": "rows left out, since it is missing", "count": count}
        for name, count in found.dropped.items()
        if count
    ]
    classes = map(label_key, spec.target.classes)
    return {
        "rows_in": found.rows_in,
        "rows_out": found.rows_out,
        "changes": changes,
        "violations": violations,
        "missing": {name: round(counts.missing / max(1, counts.rows), 6) for name, counts in found.columns.items()},
        "classes": dict(zip(classes, found.classes.tolist(), strict=False)),
        "seconds": round(time.perf_counter() - started, 3),
    }
