"""Check the size of an Excel workbook before it is read: a reader makes room for the whole rectangle of its cells."""

import posixpath
import re
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from pantheon.workflow import memory

CHUNK = 1 << 20
CELL = 32  # bytes of a cell of the rectangle in the reader, at least
STORED = 40  # bytes of a cell that has a value, before the rectangle is made
SPARSE = 10  # places per cell from which a far cell is the reason
CELLS = (b"<c ", b"<c>", b"<c/")
PLACE = re.compile(rb'\sr="([A-Z]{1,3})(\d{1,7})"')
PARTS = ("workbook.xml", "_rels/workbook.xml.rels")
LONGEST_ROW = 1 << 22  # bytes of a row's end that are searched
FORMULA = re.compile(rb'<c r="([A-Z]{1,3})\d+"[^>]*>\s*<f[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>')
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    KeyError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)


def check_workbook(path: Path, sheet: str) -> None:
    """Check that the sheet fits in the memory that the workflow may use; other errors are left to the reader.

    The sizes in the archive's directory are checked first, then the real places of the cells: the dimensions that a
    sheet gives for itself may be wrong. Workbooks in other formats than Office Open XML are not checked.

    Args:
        sheet: its name; empty: the first one.

    Raises:
        PantheonError: it is too large; says by how much.
    """
    limit = memory.limit()
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist() if entry.filename.endswith((".xml", ".bin")))
            if size > limit:
                raise memory.too_large(
                    f"{path} is too large: decompressed, it has {memory.shown(size)}, and the workflow may use "
                    f"{memory.shown(limit)}.",
                    "Save it as CSV",
                    size,
                )
            check_cells(path, archive, part_of(archive, sheet), limit)
    except DAMAGED:
        return


def part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the file with a sheet. Raises LookupError if there is none."""
    # Expat refuses entities that multiply, and the size of these files was checked.
    book, relations = (ElementTree.fromstring(archive.read(f"xl/{name}")) for name in PARTS)  # noqa: S314
    sheets = [entry for entry in book.iter() if entry.tag.endswith("}sheet") and sheet in ("", entry.get("name"))]
    keys = [value for name, value in sheets[0].items() if name.endswith("}id")]
    targets = [relation.get("Target", "") for relation in relations if relation.get("Id") == keys[0]]
    return posixpath.normpath(posixpath.join("/xl", targets[0])).lstrip("/")


def check_cells(path: Path, archive: zipfile.ZipFile, part: str, limit: int) -> None:
    """Check the number of cells and their rectangle."""
    cells, rows, width, corner, rest = 0, 0, 0, "", b""
    with archive.open(part) as file:
        while raw := file.read(CHUNK):
            cells += sum(raw.count(tag) for tag in CELLS)
            *complete, rest = (rest + raw).split(b"</row>")
            rest = rest[-LONGEST_ROW:]
            for line in complete:
                if last := PLACE.search(line, line.rfind(b"<c ")):  # the last cell of a row is the one furthest right
                    rows, width = max(rows, int(last[2])), max(width, number(last[1]))
                    corner = (last[1] + last[2]).decode()
            need = cells * STORED + max(rows * width, cells) * CELL
            if need <= limit:
                continue
            may = f"reading it needs at least {memory.shown(need)}, and the workflow may use {memory.shown(limit)}."
            if rows * width > SPARSE * cells:
                what = f"{path} is too large: its sheet has cells up to {corner}, so {may}"
                cure = "Delete what is outside the table (Ctrl+End shows the last cell), or save it as CSV"
            else:
                what, cure = f"{path} is too large: its sheet has more than {cells:,} cells; {may}", "Save it as CSV"
            raise memory.too_large(what, cure, need)


def number(column: bytes) -> int:
    """Return the number of a column from 1: ``A`` is 1, ``AA`` is 27."""
    value = 0
    for letter in column:
        value = 26 * value + letter - 64
    return value


def without_values(path: Path, sheet: str) -> list[int]:
    """Return the numbers of the columns, from 1, that have formulas without a stored value; empty if not known.

    Args:
        sheet: its name; empty: the first one.
    """
    columns, rest = set[bytes](), b""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(part_of(archive, sheet)) as file:
            while raw := file.read(CHUNK):
                *complete, rest = (rest + raw).split(b"</row>")
                columns |= {column for line in complete for column in FORMULA.findall(line)}
                rest = rest[-LONGEST_ROW:]
    except DAMAGED:
        return []
    return sorted(map(number, columns))
