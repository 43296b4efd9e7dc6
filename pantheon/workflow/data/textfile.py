"""Read text files as tables: encodings, records, the header, and the line of an error."""

import codecs
import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow import memory
from pantheon.workflow.data.spec import Source

CHUNK = 1 << 22
UTF8 = ("utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii")
COLUMNS, MOST_COLUMNS = "WORKFLOW_COLUMNS", 10_000
LONGEST = 1 << 24
"""Bytes of a line, and of a field, at most: a longer one is a missing quote or line end, and would fill the memory."""
csv.field_size_limit(LONGEST)
ALIGNED = " "
"""The separator of a file whose columns are separated by one or more blanks or tabs."""
QUOTED = 1 << 16  # characters that show whether blanks stand before quotes
SHAPE = 20  # records after the header that show whether it is shorter than they are
INVISIBLE = "\ufeff\u200b\u2060"  # stripped from names, besides blanks


@dataclass(frozen=True)
class Header:
    """The header of a text file.

    Attributes:
        names: of every column; those without a name in the file are called ``column_N``.
        lines: of the file, up to the end of the header.
    """

    names: list[str]
    lines: int


def only_cr(path: Path) -> bool:
    """Whether lines end with a carriage return alone, as in old files of Excel for Mac."""
    with path.open("rb") as file:
        start = file.read(CHUNK)
    return b"\r" in start and b"\n" not in start


def is_text(start: bytes) -> bool:
    """Whether the bytes are text: few control characters, and no 0."""
    return 0 not in start and sum(byte < 9 or 13 < byte < 32 for byte in start) <= len(start) // 50


def is_utf16(start: bytes) -> bool:
    """Whether the text is UTF-16: it has a BOM, or every second byte is 0, as for Western letters."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    half = len(start) // 2
    zeros = sorted(start[place::2].count(0) for place in (0, 1))
    return zeros[0] < half // 10 and zeros[1] > half // 2


def is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in UTF8


def transcode(path: Path, encoding: str, to: IO[bytes]) -> None:
    """Write a text file as UTF-8 with line feeds, in chunks.

    Raises:
        PantheonError: the file is not in that encoding; names the line.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines, mac = 1, only_cr(path)
    with path.open("rb") as file:
        while True:
            raw = file.read(CHUNK)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                line = lines + raw[: error.start].count(b"\r" if mac else b"\n")
                raise wrong_encoding(path, line, encoding) from None
            text = text.replace("\r", "\n") if mac else text
            lines += text.count("\n")
            to.write(text.encode())
            if not raw:
                return


def wrong_encoding(path: Path, line: int, encoding: str) -> PantheonError:
    cure = 'Set source.encoding in the spec, such as "cp1252", or save the file as UTF-8.'
    return PantheonError(f"{path} line {line} is not {encoding}.", cure)


def not_utf8(path: Path) -> PantheonError:
    """Return the error for the first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return wrong_encoding(path, number, "utf-8")
    return wrong_encoding(path, 1, "utf-8")


def rows_of(path: Path, source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield every record from line ``source.skip`` + 1 with its last line number; skip blank lines.

    Slow: for headers, for errors, and for columns that are separated by blanks.
    """
    encoding = "utf-8-sig" if is_utf8(source.encoding) else source.encoding
    with path.open(encoding=encoding, newline="") as file:
        last = source.skip
        lines: Iterator[str] = islice(file, last, None)
        strict = True
        if source.separator == ALIGNED:
            lines, strict = (line.replace("\t", " ").rstrip() + "\n" for line in lines), False
        mark, quote = source.separator, source.quote
        reader = csv.reader(lines, delimiter=mark, quotechar=quote, strict=strict, skipinitialspace=True)
        try:
            for record in reader:
                last = source.skip + reader.line_num
                if record:
                    yield last, record
        except csv.Error as error:
            what = str(error)
            if source.skip + reader.line_num > last + 1:  # the record has several lines: a quote is open
                what = f"a field that begins in this line is longer than {LONGEST >> 20} MB"
                what = "a quote is opened and never closed" if "end of data" in str(error) else what
            raise PantheonError(f"{path} line {last + 1}: {what}.", "Correct the quotes.") from None
        except UnicodeDecodeError:
            if is_utf8(source.encoding):
                raise not_utf8(path) from None
            raise wrong_encoding(path, last + 1, source.encoding) from None


def check_lines(path: Path, source: Source) -> None:
    """Check that no line is longer than ``LONGEST``, and no quote stays open so long; about 3 GB per second.

    Raises:
        PantheonError: names the line.
    """
    quote, quotes, length, place = source.quote.encode(), 0, 0, 0
    end = b"\r" if only_cr(path) else b"\n"
    with path.open("rb") as file:
        while raw := file.read(CHUNK):
            quotes += raw.count(quote)
            first = raw.find(end)
            if length + (len(raw) if first < 0 else first) > LONGEST:
                line = line_of(path, place)
                cure = "Check its line ends and quotes." if line > 1 else "Check that it is a table with line ends."
                raise PantheonError(f"{path} line {line} is longer than {LONGEST >> 20} MB.", cure)
            length = length + len(raw) if first < 0 else len(raw) - raw.rfind(end) - 1
            place = file.tell() - length
    if quotes % 2 and path.stat().st_size > LONGEST and is_utf8(source.encoding):
        for _ in rows_of(path, source):  # raises an error if a quote stays open
            pass


def line_of(path: Path, place: int) -> int:
    """Return the number of the line, from 1, that contains the byte ``place``."""
    line = 1
    with path.open("rb") as file:
        while place > 0 and (raw := file.read(min(CHUNK, place))):
            line += raw.count(b"\n")
            place -= len(raw)
    return line


def csv_header(path: Path, source: Source) -> Header:
    """Return the header, or names for the columns if there is none.

    Names are trimmed. Where all records have one more field than the header, their last field is blank (every line
    ends with a separator) or their first one has no name (the row names that R writes).

    Raises:
        PantheonError: the file has no header, or a name appears twice.
    """
    rows = rows_of(path, source)
    first = list(islice(rows, max(1, source.header_rows)))
    if not first:
        raise PantheonError(f"{path} has no header.", "The first line must name the columns.")
    if source.header_rows == 0:
        return Header(check_header(path, [""] * len(first[0][1])), source.skip)
    names = joined([record for _, record in first])
    records = []
    with suppress(PantheonError):  # reading the rows names the line and the cure
        records = [record for _, record in islice(rows, SHAPE)]
    widths = {len(record) for record in records}
    if len(records) > 1 and widths == {len(names) + 1}:
        blank = not any(record[-1].strip() for record in records)
        names = [*names, ""] if blank else ["", *names]
    elif records and widths == {len(names) - 1} and len(names) > 2 and not names[-1].strip():
        names = names[:-1]
    return Header(check_header(path, names), first[-1][0])


def joined(rows: Sequence[Sequence[str | None]]) -> list[str]:
    """Return the names in one or more header rows: those of the last row, with the ones above where it is not enough.

    A name above several columns, as in merged cells, is that of the columns to its right that have none.
    """
    width = max(map(len, rows))
    table = [[trimmed(cell) for cell in row] + [""] * (width - len(row)) for row in rows]
    *above, names = table
    for upper in reversed(above):
        group, groups = "", []
        for cell in upper:
            group = cell or group
            groups.append(group)
        lower = [name or cell for name, cell in zip(names, upper, strict=True)]
        names = [
            f"{one} {name}" if name and one and lower.count(name) > 1 and name != one else name
            for name, one in zip(lower, groups, strict=True)
        ]
    return names


def trimmed(name: str | None) -> str:
    """Return a name without blanks and invisible characters around it."""
    return (name or "").strip().strip(INVISIBLE).strip()


def check_header(path: Path, names: Sequence[str | None]) -> list[str]:
    """Return trimmed, complete column names. Raises PantheonError if a name appears twice, or there are too many."""
    check_width(path, len(names))
    complete = [trimmed(name) or f"column_{place}" for place, name in enumerate(names, 1)]
    seen = set[str]()
    for place, name in enumerate(complete):
        if name in seen:
            first = complete.index(name) + 1
            what = f"{path}: columns {first} and {place + 1} are both named {name!r}."
            raise PantheonError(what, "Rename one of them.")
        seen.add(name)
    return complete


def check_width(path: Path, columns: int) -> None:
    """Raise PantheonError if there are more columns than ``WORKFLOW_COLUMNS``, 10,000 by default."""
    text = os.environ.get(COLUMNS, "") or str(MOST_COLUMNS)
    if not text.isdecimal() or not int(text):
        raise PantheonError(f"{COLUMNS}={text} is not a number of columns.", f"For example: {COLUMNS}=20000")
    if columns > int(text):
        what = f"{path} has {columns:,} columns, more than {int(text):,}: a run might take hours."
        again = memory.with_setting(f"{COLUMNS}={columns}")
        raise PantheonError(what, f"Remove columns, or allow more: {again}" if again else "Remove columns.")


def scan_csv(path: Path, source: Source, scratch: Path) -> pl.LazyFrame:
    """Scan a text file as text; blank cells are null. ``scratch`` is a folder for a copy that Polars can read.

    Columns get their names by position: those of the file may be blank, or need trimming.

    Raises:
        PantheonError: a bad header, a wrong encoding, a line that is too long.
    """
    check_lines(path, source)
    header = csv_header(path, source)
    skip = header.lines
    if source.separator == ALIGNED or blank_before_quote(path, source):
        path, source, skip = separated(path, source, scratch / "separated.csv"), replace(source, separator=","), 0
    elif not is_utf8(source.encoding) or only_cr(path):
        copy = scratch / "utf-8.csv"
        with copy.open("wb") as file:
            transcode(path, "utf-8-sig" if is_utf8(source.encoding) else source.encoding, file)
        path = copy
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        skip = sum(line.endswith("\n") for line in islice(file, skip))  # Polars counts these lines only
    return pl.scan_csv(
        path,
        separator=source.separator,
        quote_char=source.quote,
        has_header=False,
        skip_lines=skip,
        schema=dict.fromkeys(header.names, pl.String),
        glob=False,
    )


def blank_before_quote(path: Path, source: Source) -> bool:
    """Whether fields are quoted after a blank, as in ``"a", "b"``: Polars takes such quotes for letters."""
    with path.open(encoding=source.encoding, errors="replace", newline="") as file:
        start = file.read(QUOTED).splitlines(keepends=True)[source.skip : -1]
    both = [
        list(csv.reader(start, delimiter=source.separator, quotechar=source.quote, skipinitialspace=skip))
        for skip in (False, True)
    ]
    return both[1] != [[cell.lstrip(" ") for cell in record] for record in both[0]]


def separated(path: Path, source: Source, copy: Path) -> Path:
    """Write the rows of a file that Polars cannot read as it is to ``copy``, with commas; return it."""
    header = csv_header(path, source)
    with copy.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quotechar=source.quote, lineterminator="\n")
        for line, record in rows_of(path, source):
            if line > header.lines:
                check_fields(path, line, record, header)
                rows.writerow(record)
    return copy


def fault(path: Path, source: Source) -> PantheonError | None:
    """Return an error for the first record with bad quotes or another number of fields; None if all are valid."""
    try:
        header = csv_header(path, source)
        for line, record in rows_of(path, source):
            if line > header.lines:
                check_fields(path, line, record, header)
    except PantheonError as error:
        return error
    return None


def check_fields(path: Path, line: int, record: Sequence[str], header: Header) -> None:
    """Raise PantheonError unless the record that ends in ``line`` has a field for every column."""
    if len(record) != len(header.names):
        fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
        raise PantheonError(
            f"{path} line {line} has {fields}, but the header has {len(header.names)}.",
            "Correct that line; a field that contains the separator needs quotes.",
        )


def separators(path: Path, source: Source) -> int:
    """Count the separators outside quotes below the header of a UTF-8 CSV file; about 1 GB per second."""
    lines = csv_header(path, source).lines
    mark, quote, count, inside = ord(source.separator), ord(source.quote), 0, False
    with path.open("rb") as file:
        for _ in islice(file, lines):
            pass
        while raw := file.read(CHUNK):
            data = np.frombuffer(raw, dtype=np.uint8)
            is_mark = data == mark
            if inside or quote in raw:
                quoted = np.bitwise_xor.accumulate(data == quote) ^ inside
                inside = bool(quoted[-1])
                is_mark &= ~quoted
            count += int(np.count_nonzero(is_mark))
    return count
