"""Write a table to a file, part by part: as CSV, Parquet or an Excel workbook."""

import re
import zipfile
from pathlib import Path
from typing import Final, Protocol
from xml.sax.saxutils import escape

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data.parquet import ROW_GROUP

SEPARATORS: Final = {"csv": ",", "tsv": "\t"}
EXCEL_ROWS, EXCEL_COLUMNS, EXCEL_TEXT = 1_048_576, 16_384, 32_767
EXACT = 999_999_999_999_999  # larger integers are texts: Excel keeps 15 digits of a number
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # which XML cannot have
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_NAMES = "http://schemas.openxmlformats.org"
_MAIN = f"{_NAMES}/spreadsheetml/2006/main"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS: Final = {
    "[Content_Types].xml": f'<Types xmlns="{_NAMES}/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_NAMES}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{_NAMES}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_NAMES}/officeDocument/2006/relationships">'
    '<sheets><sheet name="predictions" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_NAMES}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{_NAMES}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


class Writer(Protocol):
    """Writes frames with the same columns one after the other; without one, there is no file."""

    def write(self, frame: pl.DataFrame) -> None: ...

    def close(self) -> None: ...


def writer(path: Path, form: str) -> Writer:
    """Return the writer of a new file; ``form`` is csv, tsv, parquet or xlsx."""
    if form == "parquet":
        return Parquet(path)
    return Excel(path) if form == "xlsx" else Csv(path, SEPARATORS[form])


class Csv:
    def __init__(self, path: Path, separator: str) -> None:
        self.file, self.separator, self.rows = path.open("wb"), separator, 0

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self.file, include_header=self.rows == 0, separator=self.separator)
        self.rows += frame.height

    def close(self) -> None:
        self.file.close()


class Parquet:
    """Parts are files of their own, which become one at the end: a Parquet file has its directory there."""

    def __init__(self, path: Path) -> None:
        self.path, self.parts = path, list[Path]()

    def write(self, frame: pl.DataFrame) -> None:
        part = self.path.with_suffix(f".{len(self.parts)}.part")
        frame.write_parquet(part, compression="lz4", statistics=False)
        self.parts.append(part)

    def close(self) -> None:
        if self.parts:
            pl.scan_parquet(self.parts, glob=False).sink_parquet(self.path, row_group_size=ROW_GROUP)
        for part in self.parts:
            part.unlink()


class Excel:
    """A workbook with one sheet: numbers, booleans and texts; dates are texts in ISO 8601.

    Raises:
        PantheonError: a sheet cannot have so many rows or columns.
    """

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        for name, content in _PARTS.items():
            self.archive.writestr(name, _HEAD + content)
        self.sheet = self.archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True)
        self.sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>\n'.encode())
        self.rows = 0

    def write(self, frame: pl.DataFrame) -> None:
        if self.rows == 0:
            self._write(pl.DataFrame([pl.Series(name, [name]) for name in frame.columns]))
        self._write(frame)

    def _write(self, frame: pl.DataFrame) -> None:
        self.rows += frame.height
        if self.rows > EXCEL_ROWS or frame.width > EXCEL_COLUMNS:
            what = f"more than {EXCEL_ROWS:,} rows" if self.rows > EXCEL_ROWS else f"{frame.width:,} columns"
            raise PantheonError(f"an Excel sheet cannot have {what}.", "Write a CSV or Parquet file: OUTPUT.parquet")
        if frame.height:
            cells = frame.select(_cells(frame[name]) for name in frame.columns)
            lines = cells.select(pl.concat_str(pl.lit("<row>"), pl.all(), pl.lit("</row>\n"))).to_series()
            self.sheet.write("".join(lines.to_list()).encode())

    def close(self) -> None:
        self.sheet.write(b"</sheetData></worksheet>\n")
        self.sheet.close()
        self.archive.close()


def _cells(column: pl.Series) -> pl.Series:
    """Return the cells of a column as XML."""
    kind = column.dtype
    if kind == pl.Boolean:
        texts = column.cast(pl.Int8).cast(pl.String)
        begin, end = '<c t="b"><v>', "</v></c>"
    elif kind.is_numeric() and not (kind.is_integer() and (column.abs() > EXACT).any()):
        texts = column.cast(pl.Float64) if isinstance(kind, pl.Decimal) else column
        texts = texts.fill_nan(None) if texts.dtype.is_float() else texts
        begin, end = "<c><v>", "</v></c>"
        if texts.dtype.is_float():
            texts = texts.set(texts.is_infinite().fill_null(False), None)
        texts = texts.cast(pl.String)
    else:
        distinct = column.cast(pl.String).str.slice(0, EXCEL_TEXT)
        known = {text: _CONTROL.sub("\ufffd", escape(text)) for text in distinct.unique().drop_nulls()}
        texts = distinct.replace_strict(known, default=None, return_dtype=pl.String) if known else distinct
        begin, end = '<c t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
    table = pl.DataFrame([texts.rename("text")])
    written = pl.concat_str(pl.lit(begin), pl.col("text"), pl.lit(end))
    return table.select(written.fill_null("<c/>")).to_series().rename(column.name)
