"""Read tables in JSON: a list of objects, an object per line, or columns as pandas writes them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow import memory
from pantheon.workflow.data.textfile import check_header, check_width

GROWTH = 20  # bytes of memory per byte of the file, at least
CURE = 'Use a list of objects, as in [{"age": 47, "bought": "no"}, …], an object per line, or a CSV file.'


def read_json(path: Path) -> pl.DataFrame:
    """Read a table; a column with objects, lists or values of several types becomes text.

    Raises:
        PantheonError: it is not JSON, not a table, or too large; names the line.
    """
    size = path.stat().st_size
    if size * GROWTH > memory.limit():
        what = f"{path} is too large: reading it needs at least {memory.shown(size * GROWTH)}, and the workflow may use"
        raise memory.too_large(f"{what} {memory.shown(memory.limit())}.", "Save it as CSV or Parquet", size * GROWTH)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise PantheonError(f"{path} is not UTF-8, as JSON must be.", "Save it as UTF-8.") from None
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        found = _lines(path, text, error)
    columns = _columns(found)
    if not columns:
        raise PantheonError(f"{path} is JSON, but not a table.", CURE)
    check_width(path, len(columns))
    names = check_header(path, list(columns))
    return pl.DataFrame([_series(name, values) for name, values in zip(names, columns.values(), strict=True)])


def _lines(path: Path, text: str, error: Exception) -> list[Any]:
    """Return the objects of a file with one per line."""
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except (json.JSONDecodeError, RecursionError):
                at = getattr(error, "lineno", number) if not records else number
                raise PantheonError(f"{path} line {at} is not valid JSON.", "Correct that line.") from None
    return records


def _columns(found: Any) -> dict[str, list[Any]]:
    """Return the values of every column; nothing if it is not a table."""
    if isinstance(found, dict):
        if isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):  # "split" of pandas
            found = [dict(zip(map(str, found["columns"]), row, strict=False)) for row in found["data"]]
        elif found and all(isinstance(column, dict) for column in found.values()):  # "columns" of pandas
            rows = dict.fromkeys(key for column in found.values() for key in column)
            return {name: [column.get(key) for key in rows] for name, column in found.items()}
        elif found and all(isinstance(column, list) for column in found.values()):
            length = max(map(len, found.values()))
            return {name: [*column, *[None] * (length - len(column))] for name, column in found.items()}
        else:
            inner = [value for value in found.values() if isinstance(value, list) and value]
            found = inner[0] if len(inner) == 1 else [found]
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        return {}
    names = dict.fromkeys(name for record in found for name in record)
    return {name: [record.get(name) for record in found] for name in names}


def _series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, list(_texts(values)), dtype=pl.String)


def _texts(values: Iterable[Any]) -> Iterable[str | None]:
    for value in values:
        yield value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
