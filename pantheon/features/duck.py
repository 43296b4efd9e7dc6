"""DuckDB for the service: connections with a memory limit, and SQL for the columns of a view."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pantheon.features.contract import CREATED, EVENT, View

MEMORY = "512MB"  # of one connection; what needs more is written to the scratch folder
THREADS = 2
MOMENT = "TIMESTAMP WITH TIME ZONE"
TYPES = {"number": "DOUBLE", "integer": "BIGINT", "text": "VARCHAR", "boolean": "BOOLEAN", "date": MOMENT}
ACCEPTED = {
    "number": ("DOUBLE", "FLOAT", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "integer": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "text": ("VARCHAR",),
    "boolean": ("BOOLEAN",),
    "date": (MOMENT, "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S", "DATE"),
}
"""The types of columns that a field of a type may be written from."""


@contextmanager
def connect(scratch: Path, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to an empty database in memory.

    Args:
        scratch: a folder for what does not fit in memory; created, and removed if it is empty then.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": THREADS,
        "temp_directory": str(scratch),
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def clear(scratch: Path) -> None:
    """Remove what killed processes left."""
    shutil.rmtree(scratch, ignore_errors=True)


def name(column: str) -> str:
    """Return a column's name as SQL."""
    return '"' + column.replace('"', '""') + '"'


def text(value: object) -> str:
    """Return a text as SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def source(files: Iterable[Path]) -> str:
    """Return SQL that reads Parquet files with the same columns."""
    return f"read_parquet([{', '.join(text(file) for file in files)}])"


def dtypes(view: View) -> dict[str, str]:
    """Return the columns of a view's parts, and their types."""
    return {view.key: "VARCHAR", EVENT: MOMENT, CREATED: MOMENT} | {f.name: TYPES[f.type] for f in view.fields}


def columns_of(connection: duckdb.DuckDBPyConnection, file: Path) -> dict[str, str]:
    """Return the columns of a Parquet file, and their types.

    Raises:
        duckdb.Error: it is not a Parquet file.
    """
    rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({text(file)})").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}
