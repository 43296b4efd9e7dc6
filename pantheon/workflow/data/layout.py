"""Find the table in a file: the separator, the quote, the lines above the header, and the header itself."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pantheon.errors import PantheonError
from pantheon.workflow.data import formats
from pantheon.workflow.data.encoding import encoding_of
from pantheon.workflow.data.formats import nearest
from pantheon.workflow.data.spec import Source
from pantheon.workflow.data.textfile import ALIGNED, LONGEST, check_lines, is_utf8, joined, trimmed

SEPARATORS = ",;\t|^~" + ALIGNED
QUOTES = "\"'"
HEAD = 1 << 17  # characters that show the separator
LINES = 4  # that are read at least
DEEP = 20  # records in which the header is looked for
NUMBER = re.compile(r"[+-]?[\d.,\s']*\d[\d.,]*%?")
HINT = re.compile(r"\ufeff?\"?sep=(.)\"?\s*")
UNNAMED = re.compile(r"column_([1-9]\d*)")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Table:
    """A table that was found.

    Attributes:
        names: of its columns, for suggestions.
        found: whether its header has the target.
        skip: lines above its header.
        header_rows: of the header; 0 if there is none.
        first: the first record, as far as it may be a header.
    """

    names: list[str]
    found: bool
    skip: int
    header_rows: int
    first: list[str]


Record = tuple[int, list[str]]
"""The number of the line before the record, and its cells."""


def source_of(path: Path, target: str, header: str = "", given: Mapping[str, Any] = NOTHING) -> Source:
    """Detect the file's format, encoding and separator, and where the table with the target begins.

    Args:
        header: "none" if no line of the file names the columns; empty: some line does.
        given: fields of the source that are known; then the target may be missing from the table.

    Raises:
        PantheonError: no table of the file has the target; names similar columns.
    """
    form = given.get("format") or formats.file_format(path)
    source = Source(kind="file", path=path.name if path.parent.name == "data" else str(path), format=form)
    if form == "csv":
        check_lines(path, replace(source, encoding="latin-1"))  # of any encoding: only how long they are
        source = replace(source, encoding=given.get("encoding") or encoding_of(path, target))
        source, table = text_table(path, source, target, header, given)
    elif form == "excel":
        source, table = sheet_table(path, source, target, header, given.get("sheet", ""))
    else:
        return replace(source, **given)
    if not table.found and not given:
        raise no_target(path, target, table)
    return replace(source, **{"skip": table.skip, "header_rows": table.header_rows, **given})


def no_target(path: Path, target: str, table: Table) -> PantheonError:
    """Return the error for a target that the table does not have."""
    what = f"{path} has no target {target!r}" if target else f"{path}: the column to predict is not given"
    numbers = sum(bool(NUMBER.fullmatch(cell)) for cell in table.first if cell)
    if table.header_rows and not nearest(target, table.names) and 3 * numbers >= max(1, len(table.first)):
        shown = ", ".join(table.first[:4])
        called = f"column_1 … column_{len(table.first)}"
        return PantheonError(
            f"{what}, and no header: its first line is {shown} ….",
            f"Without a header they are called {called}: HEADER=none TARGET=column_{len(table.first)}",
        )
    names = [name.strip(QUOTES) for name in table.names if name.strip(QUOTES)]
    cure = nearest(target, names) or f"It has {', '.join(repr(name[:60]) for name in names[:20])}."
    return PantheonError(f"{what}.", f"{cure} Give TARGET=column.")


def said(source: Source) -> list[str]:
    """Return sentences about what was detected and is not usual."""
    where = f" of sheet {source.sheet!r}" if source.sheet else ""
    notes = []
    if source.header_rows == 0:
        notes.append(f"no header{where}: the columns are called column_1, column_2 …")
    elif source.skip or source.sheet or source.header_rows > 1:
        lines = f"line {source.skip + 1}"
        if source.header_rows > 1:
            lines = f"lines {source.skip + 1} to {source.skip + source.header_rows}"
        notes.append(f"header found in {lines}{where}")
    if source.format == "csv" and not is_utf8(source.encoding) and not source.encoding.startswith("utf-16"):
        notes.append(f"read as {source.encoding}; if letters are wrong, set source.encoding in the spec")
    if source.separator in "^~" + ALIGNED:
        notes.append("columns separated by " + ("blanks" if source.separator == ALIGNED else repr(source.separator)))
    return notes


def text_table(
    path: Path, source: Source, target: str, header: str, given: Mapping[str, Any] = NOTHING
) -> tuple[Source, Table]:
    """Return the source with the separator and quote that fit best, and its table."""
    with path.open(encoding="utf-8-sig" if is_utf8(source.encoding) else source.encoding, newline="") as file:
        text = file.read(HEAD)
        while len(text) < LONGEST and len(text.splitlines()) < LINES and (more := file.read(HEAD)):  # a wide table
            text += more
    hint = HINT.match(text.split("\n")[0])
    best: tuple[tuple[object, ...], Source, Table] | None = None
    for separator in given.get("separator") or (hint[1] if hint and hint[1] in SEPARATORS else SEPARATORS):
        for quote in given.get("quote") or QUOTES:
            records = [record for record in records_of(text, separator, quote) if record[1]]
            if len(text) >= HEAD and len(records) > 1:
                records.pop()  # cut off
            table = table_in(records, target, header)
            below = [len(record) for line, record in records if line >= table.skip]
            width = len(table.first)
            usual, count = Counter(below[1:] or below or [0]).most_common(1)[0]
            same = count / max(1, len(below) - 1) if usual == width else 0.9 if abs(usual - width) == 1 else 0
            score = (table.found, width > 1, round(same, 1), quote == '"', separator != ALIGNED, width)
            if best is None or score > best[0]:
                best = score, replace(source, separator=separator, quote=quote), table
    assert best
    return best[1], best[2]


def records_of(text: str, separator: str, quote: str) -> Iterator[Record]:
    lines: Iterator[str] = io.StringIO(text, newline="")
    if separator == ALIGNED:
        lines = (line.replace("\t", " ").rstrip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=True)
    last = 0
    try:
        for record in reader:
            yield last, record
            last = reader.line_num
    except csv.Error:  # bad quotes: the records before them are enough
        return


def sheet_table(path: Path, source: Source, target: str, header: str, only: str = "") -> tuple[Source, Table]:
    """Return the source with the sheet that has the target, else with the first one that is not empty; its table."""
    first: tuple[Source, Table] | None = None
    names: list[str] = []
    sheets = formats.sheets_of(path)
    for place, sheet in enumerate(sheets):
        if only and sheet != only:
            continue
        rows = formats.head_of_sheet(path, sheet, 2 * DEEP)
        records = [(line, row) for line, row in enumerate(rows) if any(row)]
        if not records:
            continue
        table = table_in(records, target, header)
        chosen = replace(source, sheet=sheet if place else "")
        if table.found:
            return chosen, table
        names += table.names
        first = first or (chosen, table)
    if first is None:
        raise PantheonError(f"{path} has an empty sheet.", "Provide a sheet with a header and rows.")
    return first[0], replace(first[1], names=names)


def table_in(records: Sequence[Record], target: str, header: str) -> Table:
    """Return the table whose header has the target, in the first ``DEEP`` records; else the likely one."""
    if not records:
        return Table([], False, 0, 1, [])
    usual = Counter(len(record) for _, record in records).most_common(1)[0][0]
    likely = next((place for place, (_, record) in enumerate(records[:DEEP]) if len(record) == usual), 0)
    filled = [sum(map(bool, map(trimmed, record))) for _, record in records]
    if filled[likely] < max(filled) / 2:  # a title in a sheet, whose rows all have the same length
        likely = next(place for place, count in enumerate(filled) if count >= max(filled) / 2)
    start, record = records[likely]
    first = [trimmed(cell) for cell in record]
    unnamed = UNNAMED.fullmatch(target)
    looks_like_data = any(NUMBER.fullmatch(cell) for cell in first)
    places = sorted({*range(min(DEEP, len(records))), likely})
    matches = [place for place in places if target in map(trimmed, records[place][1])]
    if header == "none" or (unnamed and not matches and looks_like_data):
        names = [f"column_{place}" for place in range(1, len(first) + 1)]
        return Table(names, target in names, start, 0, first)
    proper = [place for place in matches if not records[place][1][0].startswith("#") and filled[place] > 1]
    if not matches:
        names = joined([first])
        if "" in names and len(records) > likely + 1:  # perhaps a header of two rows
            names += [cell for cell in map(trimmed, records[likely + 1][1]) if not NUMBER.fullmatch(cell)]
        return Table(names, False, start, 1, first)
    return header_at(records, (proper or matches)[0], target)


def header_at(records: Sequence[Record], place: int, target: str) -> Table:
    """Return the table whose header has the target in the record ``place``: of two rows if one is not enough."""
    start, row = records[place]
    names = [trimmed(cell) for cell in row]
    column = names.index(target)
    if place + 1 < len(records):
        lower = [trimmed(cell) for cell in records[place + 1][1]]
        parts = [at for at, (one, two) in enumerate(zip(names, lower, strict=False)) if two and not one]
        merged = len(lower) == len(names) and not lower[column] and any(at > 0 for at in parts)
        if merged and not any(map(NUMBER.fullmatch, lower)):
            return Table(joined([names, lower]), True, start, 2, names)
    given = [name for name in names if name]
    if place and (len(set(given)) < len(given) or "" in names):
        above, cells = records[place - 1]
        upper = [trimmed(cell) for cell in cells]
        helps = len(upper) == len(names) and sum(map(bool, upper)) > 1 and not any(map(NUMBER.fullmatch, upper))
        both = joined([upper, names]) if helps else names
        if helps and target in both and both != names:
            return Table(both, True, above, 2, names)
    return Table(names, True, start, 1, names)
