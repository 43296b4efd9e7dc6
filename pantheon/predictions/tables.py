"""Records as tables: one row per predicted row, and one per piece of feedback."""

import io
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import polars as pl
from msgspec.structs import astuple

from pantheon.predictions.frames import Entry
from pantheon.predictions.layout import FEEDBACK, folder_of
from pantheon.predictions.records import Feedback

RECORDS = 5_000  # that are converted at a time
MOMENT: Final = pl.Datetime("us", "UTC")
# After ``row``: the fields of ``records.Answered`` in their order, then three JSON texts of one row. A request that was
# refused, or that does not have one prediction per row, has one row, 0, with all that was sent and answered.
PREDICTIONS: Final[dict[str, Any]] = {
    "id": pl.String,
    "row": pl.Int32,
    "at": MOMENT,
    "model": pl.String,
    "version": pl.String,
    "arm": pl.String,
    "reason": pl.String,
    "key": pl.String,
    "ms": pl.Float64,
    "status": pl.Int16,
    "error": pl.String,
    "trace": pl.String,
    "shadow": pl.Boolean,
    "explained": pl.Boolean,
    "input": pl.String,
    "prediction": pl.String,
    "probabilities": pl.String,
}
FEEDBACKS: Final[dict[str, Any]] = {
    "id": pl.String,
    "row": pl.Int32,
    "at": MOMENT,
    "correct": pl.Boolean,
    "value": pl.String,  # JSON text of the true value
    "comment": pl.String,
    "by": pl.String,
    "source": pl.String,
}


class _Answer(msgspec.Struct):
    prediction: list[msgspec.Raw]
    probabilities: list[msgspec.Raw] | None = None


_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_answer = msgspec.json.Decoder(_Answer).decode
_Line = tuple[Any, ...]


def tables(entries: Iterable[Entry | Feedback]) -> dict[str, pl.DataFrame]:
    """Return the records as tables, by the folder that they belong to.

    Only some records are objects of Python at a time: those need ten times the memory of a table's row, and of what is
    freed at once, a part is never given back to the system.
    """
    lines: defaultdict[str, list[_Line]] = defaultdict(list)
    found: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)

    def convert() -> None:
        for folder, some in lines.items():
            found[folder].append(_table(some, schema_of(folder)))
        lines.clear()

    for count, entry in enumerate(entries, 1):
        if isinstance(entry, Feedback):
            lines[folder_of(entry)].append(_said(entry))
        else:
            lines[folder_of(entry.record)] += _predicted(entry)
        if count % RECORDS == 0:
            convert()
    convert()
    return {folder: pl.concat(some) for folder, some in found.items()}


def schema_of(folder: str) -> dict[str, Any]:
    """Return the columns of the files in a folder."""
    return FEEDBACKS if folder.startswith(f"{FEEDBACK}/") else PREDICTIONS


def parquet(table: pl.DataFrame) -> bytes:
    """Return a table as the content of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", compression_level=3, statistics=True)
    return buffer.getvalue()


def _table(lines: list[_Line], schema: dict[str, Any]) -> pl.DataFrame:
    """Return rows as a table: column by column, which is much faster than polars' own way."""
    columns = zip(schema.items(), zip(*lines, strict=True), strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype, strict=True) for (name, dtype), values in columns])


def _said(record: Feedback) -> _Line:
    value = None if record.value is None else msgspec.json.encode(record.value).decode()
    return record.id, record.row, record.at, record.correct, value, record.comment, record.by, record.source


def _predicted(entry: Entry) -> list[_Line]:
    id, *start = astuple(entry.record)
    if entry.answer:
        try:
            return _row_by_row(id, start, entry)
        except (ValueError, msgspec.DecodeError):
            pass  # it is stored as a whole instead: nothing that was answered may be missing
    given, told = (text.decode(errors="replace") or None for text in (entry.rows, entry.answer))
    return [(id, 0, *start, given, told, None)]


def _row_by_row(id: str, start: list[Any], entry: Entry) -> list[_Line]:
    """Return a line per row.

    Raises:
        ValueError, msgspec.DecodeError: there is not one prediction per row, or something is not JSON.
    """
    rows, answer = _rows(entry.rows), _answer(entry.answer)
    shares: list[Any] = answer.probabilities or [None] * len(rows)
    if len(rows) == len(answer.prediction) == len(shares) == 1:  # most requests, and this is faster
        return [(id, 0, *start, _text(rows[0]), _text(answer.prediction[0]), _text(shares[0]))]
    return [
        (id, row, *start, _text(given), _text(predicted), _text(share))
        for row, (given, predicted, share) in enumerate(zip(rows, answer.prediction, shares, strict=True))
    ]


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else str(raw, "utf-8")
