"""Read tables from files: detect the format, and report what is wrong in one line that names file and line."""

import difflib
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data import stored
from pantheon.workflow.data.json_table import read_json
from pantheon.workflow.data.spec import Source, Spec
from pantheon.workflow.data.textfile import check_header, check_width, is_text, is_utf16, joined, scan_csv
from pantheon.workflow.data.workbook import check_workbook, without_values

ENDINGS = {".parquet": "parquet", ".pq": "parquet"}
ENDINGS |= dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"), "excel")
PACKED = {b"7z\xbc\xaf": "7z", b"Rar!": "rar"}  # others are unpacked before
UNPACK = {"7z": "7z x", "rar": "unrar x"}
ARROW = (b"ARROW1", b"\xff\xff\xff\xff")
DIGITS = 38  # of a decimal that Polars can read
AS_FLOAT = "Write the column as float64, and use that file."
MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
HTML = re.compile(rb"\s*<(!doctype|html|table|\?xml|meta|head|body|style)", re.IGNORECASE)
JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*\{|\{\s*")')


def check_file(path: Path) -> None:
    """Check that the file exists and is not empty.

    Raises:
        PantheonError: it is missing (suggests similar names), a folder, empty or not readable.
    """
    if path.is_dir():
        raise PantheonError(f"{path} is a folder.", "Provide a CSV, Parquet or Excel file.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device may never end
            raise PantheonError(f"{path} is a pipe, a socket or a device.", "Provide a CSV, Parquet or Excel file.")
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except FileNotFoundError:
        names = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise PantheonError(f"the file {path} does not exist.", nearest(path.name, names) or "Check DATA=.") from None
    except OSError as error:
        raise PantheonError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if not start.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
        raise PantheonError(f"{path} is empty.", "Provide a file with a header and rows.")


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a sentence that suggests the names most similar to ``name``; empty if none is similar."""
    folded = {other.casefold().strip(): other for other in names}
    matches = [folded[match] for match in difflib.get_close_matches(name.casefold().strip(), list(folded), 3, 0.5)]
    return f"Did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def file_format(path: Path, declared: str = "") -> str:
    """Return a format of ``spec.FORMATS``: the ``declared`` one, else detected from the first bytes and the file name.

    Raises:
        PantheonError: it is another kind of file (binary or compressed).
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(1 << 16)
    for magic, name in PACKED.items():
        if start.startswith(magic):
            raise PantheonError(f"{path} is compressed with {name}.", f"Unpack it first: {UNPACK[name]} FILE")
    ending = ENDINGS.get(path.suffix.lower(), "")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(ARROW):
        return "arrow"
    if JSON.match(start) and declared in ("", "json"):
        return "json"
    if HTML.match(start):
        what = f"{path} is a web page or XML, whatever its ending says."
        raise PantheonError(what, "Open it in Excel or LibreOffice, and save it as CSV or xlsx.")
    packed_office = start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))
    if packed_office and (
        "excel" in (ending, declared) or b"xl/" in start or b"oasis.opendocument.spreadsheet" in start
    ):
        return "excel"
    if ending or declared in ("parquet", "excel"):
        kind = declared or ending
        raise PantheonError(f"{path} is not a valid {kind} file.", "Save it again, or as CSV.")
    if 0 < start.count(0) <= len(start) // 20 and not is_utf16(start) and is_text(start.replace(b"\0", b"")):
        line = start[: start.index(0)].count(b"\n") + 1
        cure = "Remove them: tr -d '\\000' < FILE > clean.csv"
        raise PantheonError(f"{path} line {line} has a NUL character (a byte 0), which text does not have.", cure)
    if start.startswith(b"PK\x03\x04") or not (is_utf16(start) or is_text(start)):
        raise PantheonError(f"{path} is a binary file, not a table.", "Give a CSV, Parquet or Excel file.")
    return "csv"


def sheets_of(path: Path) -> list[str]:
    """Return the names of the workbook's sheets, in order. Raises the same errors as ``read_excel``."""
    import fastexcel

    check_workbook(path, "")
    with reading(path):
        return list(fastexcel.read_excel(path).sheet_names)


def head_of_sheet(path: Path, sheet: str, rows: int) -> list[list[str]]:
    """Return the first rows of a sheet as text. Raises the same errors as ``read_excel``."""
    import fastexcel

    check_workbook(path, sheet)
    with reading(path):
        page = fastexcel.read_excel(path).load_sheet(sheet, header_row=None, skip_rows=0, n_rows=rows, dtypes="string")
        return [[cell or "" for cell in row] for row in page.to_polars().iter_rows()]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of the reader of Excel files."""
    import fastexcel

    try:
        yield
    except fastexcel.FastExcelError as error:
        what = f"{path} cannot be read as Excel: {str(error).splitlines()[0]}."
        raise PantheonError(what, "Save it again, or as CSV.") from None


def read_excel(path: Path, source: Source) -> pl.DataFrame:
    """Read a sheet as text.

    Raises:
        PantheonError: it is not an Excel file, has no such sheet, or has formulas without values.
    """
    import fastexcel

    sheet = source.sheet
    check_workbook(path, sheet)
    with reading(path):
        book = fastexcel.read_excel(path)
        if sheet and sheet not in book.sheet_names:
            cure = nearest(sheet, book.sheet_names) or f"It has {', '.join(map(repr, book.sheet_names))}."
            raise PantheonError(f"{path} has no sheet {sheet!r}.", cure)
        page = book.load_sheet(sheet or 0, header_row=None, skip_rows=0, dtypes="string")
    frame = page.to_polars().slice(source.skip)
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if frame.height == 0 or frame.width == 0:
        raise PantheonError(f"{path} has an empty sheet.", "Provide a sheet with a header and rows.")
    rows = [list(frame.row(place)) for place in range(min(source.header_rows, frame.height))]
    header = check_header(path, joined(rows) if rows else [""] * frame.width)
    frame = frame.slice(source.header_rows).rename(dict(zip(frame.columns, header, strict=True)))
    blank = [name for name in header if frame[name].null_count() == frame.height]
    if frame.height and blank and (formulas := without_values(path, sheet)):
        columns = [header[place - 1] for place in formulas if place <= len(header) and header[place - 1] in blank]
        if columns:
            what = f"{path}: the column {columns[0]!r} has formulas without values: a program wrote them."
            raise PantheonError(what, "Open the file in Excel or LibreOffice and save it: this stores the values.")
    moments = {name: frame[name].filter(frame[name].str.contains(MOMENT)) for name in header}
    midnight = [name for name, cells in moments.items() if len(cells) and cells.str.ends_with(" 00:00:00").all()]
    return frame.with_columns(pl.col(midnight).str.strip_suffix(" 00:00:00"))  # Excel has no dates without a time


def scan(path: Path, source: Source, scratch: Path) -> pl.LazyFrame:
    """Scan the source's file as a lazy frame: a CSV file as text, with null for blank cells.

    Args:
        path: the file.
        source: its ``format`` must be set.
        scratch: a folder for a UTF-8 copy of a file with another encoding.

    Raises:
        PantheonError: a bad header, a wrong encoding, a damaged file.
    """
    if source.format == "excel":
        return read_excel(path, source).lazy()
    if source.format == "json":
        return read_json(path).lazy()
    if source.format in ("parquet", "arrow"):
        try:
            frame = scan_arrow(path) if source.format == "arrow" else pl.scan_parquet(path, glob=False)
            check_width(path, len(frame.collect_schema()))
            frame = frame.drop(_too_precise(frame))
        except pl.exceptions.PolarsError:
            raise damaged(path, source.format) from None
        return frame
    return scan_csv(path, source, scratch)


def unreadable_columns(path: Path, source: Source) -> dict[str, str]:
    """Return the columns of a Parquet or Arrow file that ``scan`` leaves out, with the reason."""
    if source.format not in ("parquet", "arrow"):
        return {}
    frame = scan_arrow(path) if source.format == "arrow" else pl.scan_parquet(path, glob=False)
    schema = frame.collect_schema()
    what = f"a decimal of more than {DIGITS} digits, which cannot be read; write it as float64 to use it"
    return {name: f"{schema[name]}: {what}" for name in _too_precise(frame)}


def _too_precise(frame: pl.LazyFrame) -> list[str]:
    schema = frame.collect_schema().items()
    return [name for name, dtype in schema if isinstance(dtype, pl.Decimal) and (dtype.precision or 0) > DIGITS]


def check_columns(path: Path, spec: Spec, header: list[str], complete: bool = True) -> None:
    """Check that the file has every column that the spec uses.

    Args:
        complete: whether those of the feature store must be there, too.

    Raises:
        PantheonError: names the missing column and similar ones.
    """
    for column in sorted(spec.used, key=lambda column: column.role != "target"):
        if column.name not in header and column.stored:
            if complete:
                raise stored.without_store(column)
        elif column.name not in header:
            what = "target" if column.role == "target" else "column"
            cure = nearest(column.name, header) or f"It has {', '.join(map(repr, header[:20]))}."
            raise PantheonError(f"{path} has no {what} {column.name!r}.", cure)


def scan_arrow(path: Path) -> pl.LazyFrame:
    """Scan an Arrow file (Feather, version 2), or read an Arrow stream."""
    with path.open("rb") as file:
        is_file = file.read(6) == ARROW[0]
    return pl.scan_ipc(path, glob=False) if is_file else pl.read_ipc_stream(path).lazy()


def damaged(path: Path, form: str = "parquet") -> PantheonError:
    return PantheonError(f"{path} is a damaged {form.title()} file.", "Write it again, or provide a CSV file.")
