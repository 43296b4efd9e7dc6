"""clean_data: convert `data/raw.parquet` to the types of the spec, in `data/clean.parquet`; report the changes."""

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
from pantheon.files import write_json
from pantheon.workflow.data.cells import Cells, Counts, usable
from pantheon.workflow.data.formats import check_columns
from pantheon.workflow.data.parquet import ROW_GROUP, sink, writing
from pantheon.workflow.data.reports import Change, Cleaned, Violation
from pantheon.workflow.data.spec import Column, Spec, label_key
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.data.validate import required, schema, validate
from pantheon.workflow.outputs import Summary
from pantheon.workflow.run import Run

CELLS = 4_000_000
"""Cells in a batch, at most: wide tables take fewer rows at once."""
WORKERS = 2
"""Batches cleaned in parallel. Polars releases the GIL, and the sink writes meanwhile; more workers are not faster."""

COLUMNS = 8
"""Columns in a sentence about missing values, at most."""
SHOWN = 20
"""Unlisted categories of a column in the report, at most."""
CHANGES = {
    "missing": "blank, or a text that means missing",
    "trimmed": "surrounding spaces removed",
    "case": "spelling replaced by the one in the spec",
    "number mark": "number in another form",
    "limit": "a limit such as <0.5, read as the number",
    "other form": "date in another format",
    "unreadable": "unreadable, set to missing",
    "outside": "outside min … max, or too large for a model, set to missing",
}


UNREAD, UNREAD_LENGTH = 200, 64
"""Unreadable texts of a column that the report lists, and their length, at most."""


@dataclass
class Totals:
    """The counts of all batches so far."""

    columns: dict[str, Counts]
    dropped: dict[str, int]
    rows_in: int = 0
    rows_out: int = 0
    classes: "np.ndarray[Any, np.dtype[np.int64]]" = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, other: "Totals") -> None:
        for name, counts in other.columns.items():
            self.columns[name].add(counts)
        for name, count in other.dropped.items():
            self.dropped[name] += count
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.classes = self.classes + other.classes


class Cleaner:
    """Clean batches by a spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        classification = spec.task == "classification"
        self.classes = len(spec.target.classes) if classification else 0
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

    def empty(self) -> Totals:
        totals = Totals({name: Counts() for name in self.cells}, dict.fromkeys(self.required, 0))
        totals.classes = np.zeros(self.classes, dtype=np.int64)
        return totals

    def clean(self, raw: pl.DataFrame, offset: int) -> tuple[pl.DataFrame, Totals]:
        """Clean a batch that begins at row ``offset``; return its clean rows and its counts."""
        totals = self.empty()
        columns = []
        for name, cells in self.cells.items():
            values, totals.columns[name] = cells.clean(raw[name], offset)
            columns.append(values)
        frame = pl.DataFrame(columns)
        totals.rows_in = frame.height
        for name in self.required:
            if frame[name].null_count():
                totals.dropped[name] = frame[name].null_count()
                frame = frame.filter(pl.col(name).is_not_null())
        totals.rows_out = frame.height
        if len(totals.classes):
            codes = frame[self.spec.target.column].to_numpy()
            totals.classes = np.bincount(codes, minlength=len(totals.classes)).astype(np.int64)
        validate(frame, self.contract)
        return frame, totals


def as_used(column: Column, spec: Spec) -> Column:
    """Return the column as it is cleaned: the target of a regression as a number, even if its type is integer."""
    if column.role == "target" and spec.task == "regression":
        return replace(column, type="number")
    return column


def clean_data(run: Run) -> Summary:
    """Clean the run's raw data by its spec, in batches, so that memory use does not depend on the number of rows.

    Rows keep their order. Exact duplicates stay: the split keeps them together.

    Writes ``data/clean.parquet`` and ``reports/clean_data.json``: rows_in, rows_out, changes, violations, unlisted,
    missing, classes.

    Returns:
        rows_in, rows_out and cells changed, for the progress line.

    Raises:
        PantheonError: the data violates the spec; names column, row and value.
    """
    started = time.perf_counter()
    raw = run.need("data/raw.parquet", "load_data")
    spec = read_spec(run.path("spec.toml"))
    frame = pl.scan_parquet(raw, glob=False)
    found = dict(frame.collect_schema())  # once: it takes longer the wider the table is
    check_columns(Path(spec.source.path or spec.source.name), spec, list(found))
    for column in spec.used:
        dtype = found[column.name]
        if not usable(dtype):
            raise PantheonError(f"column {column.name!r} is {dtype}, not a {column.type}.", 'Set its role to "ignore".')
    cleaner = Cleaner(spec)
    totals = cleaner.empty()
    with writing(run.folder), run.output("data/clean.parquet") as part:
        write(cleaner, frame.select(list(cleaner.cells)), totals, part)
        violations = broken(spec, totals)
        if violations:
            write_json(run.path("reports/clean_data.json"), report(spec, totals, violations, started))
            more = f" ({len(violations) - 1} more in reports/clean_data.json.)" if len(violations) > 1 else ""
            raise PantheonError(violations[0]["what"], violations[0]["cure"] + more)
    summary = report(spec, totals, [], started)
    write_json(run.path("reports/clean_data.json"), summary)
    changed = sum(change["count"] for change in summary["changes"])
    notes = [*cleaning_notes(totals), *unlisted_notes(spec, totals)]
    return {"rows_in": totals.rows_in, "rows_out": totals.rows_out, "changed": changed, "notes": notes}


def cleaning_notes(totals: Totals) -> list[str]:
    """Return sentences about what was taken as missing, what was read as another value, and what was dropped."""
    notes = []
    words = {name: counts.words for name, counts in totals.columns.items() if counts.words}
    if words:
        shown = [f"{name!r}: {listed(found)}" for name, found in list(words.items())[:COLUMNS]]
        more = f"; and in {len(words) - COLUMNS} more columns" if len(words) > COLUMNS else ""
        notes.append(f"taken as missing: {'; '.join(shown)}{more}. To use a word as a category, list it in the spec")
    for name, counts in totals.columns.items():
        if counts.unreadable and counts.first:
            row, text = counts.first
            notes.append(
                f"{name!r}: {counts.unreadable:,} of {counts.rows:,} cells are unreadable and set to missing, "
                f"such as {shorten(text)!r} in row {row + 1:,}"
            )
        if limits := counts.kinds["limit"]:
            share = limits / counts.rows
            notes.append(f"{name!r}: {limits:,} cells ({share:.1%}) are limits such as <0.5, read as the number")
    for name, count in totals.dropped.items():
        if count:
            notes.append(f"{count:,} of {totals.rows_in:,} rows dropped: {name!r} is missing")
    return notes


def listed(words: dict[str, int]) -> str:
    """Return the most frequent words with their counts."""
    often = sorted(words.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{shorten(word)!r} {count:,}" for word, count in often[:5])
    return shown + (" …" if len(often) > 5 else "")


def unlisted_notes(spec: Spec, totals: Totals) -> list[str]:
    """Return a sentence for every column with categories that its spec does not list, and should."""
    notes = []
    for column in spec.features:
        counts = totals.columns[column.name]
        if column.unknown == "warn" and (cells := counts.kinds["unlisted"]):
            often = sorted(counts.unlisted.items(), key=lambda item: -item[1])
            shown = ", ".join(f"{shorten(text)!r}" for text, _ in often[:5]) + (" …" if len(often) > 5 else "")
            notes.append(
                f"{column.name!r}: {cells:,} of {counts.rows:,} cells have a new category ({shown}), "
                "which is treated as missing. INFER=again adds it to the spec"
            )
    return notes


def write(cleaner: Cleaner, frame: pl.LazyFrame, totals: Totals, part: Path) -> None:
    """Stream ``frame`` through the cleaner into a Parquet file."""
    rows = max(1000, min(ROW_GROUP, CELLS // max(1, len(cleaner.cells))))
    failed: list[BaseException] = []

    def batches(*_: Any) -> Iterator[pl.DataFrame]:
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                queue: deque[Future[tuple[pl.DataFrame, Totals]]] = deque()
                for number, batch in enumerate(frame.collect_batches(chunk_size=rows, maintain_order=True)):
                    queue.append(pool.submit(cleaner.clean, batch, number * rows))
                    if len(queue) > WORKERS:
                        yield next_of(queue)
                while queue:
                    yield next_of(queue)
        except BaseException as error:  # Polars would wrap it in its own error
            failed.append(error)
            raise

    def next_of(queue: deque[Future[tuple[pl.DataFrame, Totals]]]) -> pl.DataFrame:
        clean, seen = queue.popleft().result()
        totals.add(seen)
        return clean

    try:
        sink(register_io_source(batches, schema=cleaner.output, validate_schema=False), part)
    except Exception:
        if failed and isinstance(failed[0], PantheonError):
            raise failed[0] from None
        raise


def broken(spec: Spec, totals: Totals) -> list[Violation]:
    """Return every violation of the spec: column, what, cure; those of the target first."""
    violations: list[Violation] = []

    def add(column: str, what: str, cure: str) -> None:
        violations.append({"column": column, "what": what, "cure": cure})

    target = spec.target.column
    anew = " If the file has changed, infer its columns again: INFER=again" if spec.source.kind == "file" else ""
    counts = totals.columns[target]
    if counts.rows and counts.missing == counts.rows and not counts.unreadable:
        add(target, f"the target {target!r} is missing in every row.", "Choose another TARGET.")
        return violations
    for column in sorted(spec.used, key=lambda column: column.name != target):
        counts = totals.columns[column.name]
        if counts.unreadable > column.max_unreadable * counts.rows and counts.first:
            row, text = counts.first
            add(
                column.name,
                f"column {column.name!r}, row {row + 1:,}: {shorten(text)!r} is not {wanted(column, spec)}; "
                f"{counts.unreadable:,} of {counts.rows:,} cells ({counts.unreadable / counts.rows:.1%}) are "
                f"unreadable; max_unreadable is {column.max_unreadable:.1%}.",
                "Correct the data, or the column's type, range, categories or max_unreadable in the spec." + anew,
            )
        elif counts.missing > column.max_missing * counts.rows:
            add(
                column.name,
                f"column {column.name!r} is missing in {counts.missing:,} of {counts.rows:,} rows "
                f"({counts.missing / counts.rows:.1%}; max_missing is {column.max_missing:.1%}).",
                'Raise max_missing in the spec, or set role = "ignore".' + anew,
            )
    if violations:
        return violations
    if not totals.rows_out:
        most = max(totals.dropped, key=lambda name: totals.dropped[name])
        what = f"no rows remain: {most!r} is missing in {totals.dropped[most]:,} of {totals.rows_in:,}."
        add(most, what, "Set nullable = true in the spec.")
    elif spec.task == "classification":
        present = [label_key(spec.target.classes[index]) for index in np.flatnonzero(totals.classes)]
        if len(present) < 2:
            what = f"the target {target!r} has only one class: {present[0]}."
            add(target, what, "Provide data with at least two classes.")
    return violations


def wanted(column: Column, spec: Spec) -> str:
    """Describe a valid cell of this column."""
    if column.role == "target" and spec.task == "classification":
        return "one of the classes"
    if column.type == "category":
        return "one of the listed categories"
    kind = {"integer": "an integer", "boolean": "true or false"}.get(column.type, f"a {column.type}")
    if column.min is not None and column.max is not None:
        return f"{kind} from {column.min} to {column.max}"
    if column.min is not None:
        return f"{kind} of at least {column.min}"
    return kind if column.max is None else f"{kind} of at most {column.max}"


def shorten(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def unread(counts: Counts) -> list[str]:
    """Return the most frequent short texts that could not be parsed."""
    often = sorted(counts.unread.items(), key=lambda item: (-item[1], item[0]))
    return [text for text, _ in often if len(text) <= UNREAD_LENGTH][:UNREAD]


def report(spec: Spec, totals: Totals, violations: list[Violation], started: float) -> Cleaned:
    """Return the content of ``reports/clean_data.json``."""
    changes: list[Change] = [
        {"column": name, "what": CHANGES[kind], "count": count}
        for name, counts in totals.columns.items()
        for kind, count in counts.kinds.items()
        if count and kind in CHANGES
    ]
    changes += [
        {"column": name, "what": "rows dropped because it is missing", "count": count}
        for name, count in totals.dropped.items()
        if count
    ]
    classes = map(label_key, spec.target.classes)
    return {
        "rows_in": totals.rows_in,
        "rows_out": totals.rows_out,
        "changes": changes,
        "violations": violations,
        "unlisted": {
            name: dict(sorted(counts.unlisted.items(), key=lambda item: -item[1])[:SHOWN])
            for name, counts in totals.columns.items()
            if counts.unlisted
        },
        "unread": {name: texts for name, counts in totals.columns.items() if (texts := unread(counts))},
        "missing": {name: round(counts.missing / max(1, counts.rows), 6) for name, counts in totals.columns.items()},
        "classes": dict(zip(classes, totals.classes.tolist(), strict=False)),
        "seconds": round(time.perf_counter() - started, 3),
    }
