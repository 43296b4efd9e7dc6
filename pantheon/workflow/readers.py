"""Reading tables of others: what a file is, and what is wrong with it, in one line that names the place."""

import codecs
import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.spec import Source

CHUNK = 1 << 22
ENDINGS = {".parquet": "parquet", ".pq": "parquet"}
ENDINGS |= dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"), "excel")
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}
UTF8 = ("utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii")

csv.field_size_limit(1 << 24)


def check_file(path: Path) -> None:
    """There is a file with something in it.

    Raises:
        PantheonError: it is missing (with the nearest name there), a folder, empty or not readable.
    """
    if path.is_dir():
        raise PantheonError(f"{path} is a folder.", "Give one CSV, Parquet or Excel file.")
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except FileNotFoundError:
        names = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise PantheonError(f"there is no file {path}.", nearest(path.name, names) or "Check DATA=.") from None
    except OSError as error:
        raise PantheonError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if not start.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
        raise PantheonError(f"{path} is empty.", "Give a file with a header and rows.")


def nearest(name: str, names: Sequence[str]) -> str:
    """A sentence with the names that are most like ``name``; empty where none is."""
    folded = {other.casefold().strip(): other for other in names}
    found = [folded[match] for match in difflib.get_close_matches(name.casefold().strip(), list(folded), 3, 0.5)]
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else ""


def file_format(path: Path, said: str = "") -> str:
    """csv, parquet or excel: what was said, else what the first bytes and the ending tell.

    Raises:
        PantheonError: it is none of them (a binary or packed file).
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(1 << 16)
    for magic, name in PACKED.items():
        if start.startswith(magic):
            raise PantheonError(f"{path} is packed with {name}.", "Unpack it first.")
    ending = ENDINGS.get(path.suffix.lower(), "")
    if start.startswith(b"PAR1"):
        return "parquet"
    packed_office = start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))
    if packed_office and ("excel" in (ending, said) or b"xl/" in start):
        return "excel"
    if ending or said in ("parquet", "excel"):
        kind = said or ending
        raise PantheonError(f"{path} is not a {kind} file, whatever its name says.", "Save it again, or as CSV.")
    if start.startswith(b"PK\x03\x04") or not (is_utf16(start) or is_text(start)):
        raise PantheonError(f"{path} is a binary file, not a table.", "Give a CSV, Parquet or Excel file.")
    return "csv"


def is_utf16(start: bytes) -> bool:
    """By its mark; or every second byte is 0, as for letters of the West."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    half = len(start) // 2
    zeros = sorted(start[place::2].count(0) for place in (0, 1))
    return zeros[0] < half // 10 and zeros[1] > half // 2


def is_text(start: bytes) -> bool:
    """Hardly any control characters, and no 0."""
    return 0 not in start and sum(byte < 9 or 13 < byte < 32 for byte in start) <= len(start) // 50


def is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in UTF8


def transcode(path: Path, encoding: str, to: IO[bytes]) -> None:
    """Write a text file as UTF-8, in chunks.

    Raises:
        PantheonError: the file is not in that encoding; names the line.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines = 1
    with path.open("rb") as file:
        while True:
            raw = file.read(CHUNK)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                line = lines + raw[: error.start].count(b"\n")
                raise wrong_encoding(path, line, encoding) from None
            lines += text.count("\n")
            to.write(text.encode())
            if not raw:
                return


def wrong_encoding(path: Path, line: int, encoding: str) -> PantheonError:
    cure = 'Set source.encoding in the spec, such as "cp1252", or save the file as UTF-8.'
    return PantheonError(f"{path} line {line} is not {encoding}.", cure)


def not_utf8(path: Path) -> PantheonError:
    """Where a file stops being UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return wrong_encoding(path, number, "utf-8")
    return wrong_encoding(path, 1, "utf-8")


def rows_of(path: Path, source: Source) -> Iterator[tuple[int, list[str]]]:
    """Each record of a CSV file with the line that it ends on, but blank lines. Slow: for headers and faults."""
    encoding = "utf-8-sig" if is_utf8(source.encoding) else source.encoding
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=source.separator, quotechar=source.quote, strict=True)
        try:
            for record in reader:
                if record:
                    yield reader.line_num, record
        except csv.Error as error:
            raise PantheonError(f"{path} line {reader.line_num}: {error}.", "Mend the quotes there.") from None
        except UnicodeDecodeError:
            if is_utf8(source.encoding):
                raise not_utf8(path) from None
            raise wrong_encoding(path, reader.line_num + 1, source.encoding) from None


def csv_header(path: Path, source: Source) -> list[str]:
    """The names in the first record, trimmed; nameless ones are called ``column_N``.

    Raises:
        PantheonError: no header, or a name that stands there twice.
    """
    for _, record in rows_of(path, source):
        return check_header(path, record)
    raise PantheonError(f"{path} has no header.", "The first line must name the columns.")


def check_header(path: Path, names: Sequence[str | None]) -> list[str]:
    """Column names as they are used. Raises PantheonError where one stands there twice."""
    trimmed = [(name or "").strip() or f"column_{place}" for place, name in enumerate(names, 1)]
    for place, name in enumerate(trimmed):
        if name in trimmed[:place]:
            first = trimmed.index(name) + 1
            what = f"{path}: columns {first} and {place + 1} are both called {name!r}."
            raise PantheonError(what, "Rename one of them.")
    return trimmed


def scan_csv(path: Path, source: Source, header: list[str]) -> pl.LazyFrame:
    """A UTF-8 CSV file as texts: blank cells are null."""
    return pl.scan_csv(
        path,
        separator=source.separator,
        quote_char=source.quote,
        schema=dict.fromkeys(header, pl.String),
        glob=False,
    )


def read_excel(path: Path, sheet: str) -> pl.DataFrame:
    """A sheet as texts.

    Raises:
        PantheonError: it is not an Excel file, or has no such sheet.
    """
    import fastexcel

    try:
        book = fastexcel.read_excel(path)
        if sheet and sheet not in book.sheet_names:
            cure = nearest(sheet, book.sheet_names) or f"It has {', '.join(map(repr, book.sheet_names))}."
            raise PantheonError(f"{path} has no sheet {sheet!r}.", cure)
        page = book.load_sheet(sheet or 0, header_row=None, dtypes="string")
    except fastexcel.FastExcelError as error:
        what = f"{path} cannot be read as Excel: {str(error).splitlines()[0]}."
        raise PantheonError(what, "Save it again, or as CSV.") from None
    frame = page.to_polars()
    if frame.height == 0 or frame.width == 0:
        raise PantheonError(f"{path} has an empty sheet.", "Give a sheet with a header and rows.")
    header = check_header(path, frame.row(0))
    frame = frame.slice(1).rename(dict(zip(frame.columns, header, strict=True)))
    midnight = [name for name in header if frame[name].drop_nulls().str.ends_with(" 00:00:00").all()]
    return frame.with_columns(pl.col(midnight).str.strip_suffix(" 00:00:00"))  # Excel has no dates without a time


def fault(path: Path, source: Source, header: list[str]) -> PantheonError | None:
    """The first record with more or fewer fields than the header, or with bad quotes; None where there is none."""
    try:
        for line, record in rows_of(path, source):
            if len(record) != len(header):
                return PantheonError(
                    f"{path} line {line} has {len(record)} fields, the header {len(header)}.",
                    "Mend that line; a field that holds the separator needs quotes.",
                )
    except PantheonError as error:
        return error
    return None


def separators(path: Path, source: Source) -> int:
    """How many separators a UTF-8 CSV file has outside quotes; about 1 GB a second."""
    mark, quote, count, inside = ord(source.separator), ord(source.quote), 0, False
    with path.open("rb") as file:
        while raw := file.read(CHUNK):
            data = np.frombuffer(raw, dtype=np.uint8)
            is_mark = data == mark
            if inside or quote in raw:
                quoted = np.bitwise_xor.accumulate(data == quote) ^ inside
                inside = bool(quoted[-1])
                is_mark &= ~quoted
            count += int(np.count_nonzero(is_mark))
    return count
