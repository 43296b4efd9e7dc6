"""Features as they were known at a time ("point in time"): of each asked row, the values of its entity that had
happened and were known by then.

Feast's ``get_historical_features`` does it, in chunks of a limited size. Its join compares each row with all rows of
the same entity, so it takes too long for entities with thousands of rows: these are read by DuckDB's ASOF join instead,
which gives the same answer. Only one request is read at a time, so that the memory stays within bounds.
"""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pantheon.features import duck
from pantheon.features.api import Problem
from pantheon.features.contract import CREATED, EVENT, ROW, View
from pantheon.features.definitions import Definitions
from pantheon.features.duck import name
from pantheon.features.parts import Parts

ROWS = 200_000  # of a chunk, at most
PAIRS = 4_000_000  # of an asked row and a stored row, in a chunk
MOST_PAIRS = 40_000_000  # above this, the ASOF join is used
MEMORY = "768MB"
_one = threading.Lock()


@dataclass(frozen=True)
class Wanted:
    """Features of one view: ``fields`` by their names in the answer."""

    view: View
    fields: dict[str, str]


def historical(definitions: Definitions, parts: Parts, service: str, asked: Path, target: Path) -> None:
    """Read the features of a service for rows at their times.

    Args:
        asked: a Parquet file with ``row_id``, the key and ``event_timestamp``.
        target: the Parquet file to write: ``row_id``, and the features as ``VIEW:FIELD``, in any order.

    Raises:
        Problem: 404: there is no such service; 400: a column is missing or has the wrong type.
    """
    wanted = features_of(definitions, service)
    for each in wanted:
        parts.ensure(each.view)
    with _one, parts.gate.reading(), duck.connect(parts.scratch, MEMORY) as connection:
        try:
            load(connection, wanted, asked, parts)
            row = connection.execute("SELECT coalesce(sum(pairs), 0) FROM asked").fetchone()
            if row and int(row[0]) > MOST_PAIRS:
                by_asof(connection, wanted, parts, target)
            else:
                by_feast(connection, definitions.store, wanted, target, parts.scratch)
        finally:
            release()


def features_of(definitions: Definitions, service: str) -> list[Wanted]:
    """Return what a service names.

    Raises:
        Problem: 404: there is no such service, or it is not one of ours.
    """
    chosen = definitions.service(service)
    by_view: dict[str, dict[str, str]] = {}
    for reference in chosen.features:
        view, _, field = reference.partition(":")
        by_view.setdefault(view, {})[reference] = field
    return [Wanted(definitions.view(view), fields) for view, fields in by_view.items()]


def load(connection: duckdb.DuckDBPyConnection, wanted: list[Wanted], asked: Path, parts: Parts) -> None:
    """Make ``asked``: the asked rows with the number of stored rows that each is compared with.

    Raises:
        Problem: 400.
    """
    cure = "Send a Parquet file with row_id, the entity's key and event_timestamp."
    try:
        found = duck.columns_of(connection, asked)
    except duckdb.Error as error:
        raise Problem(400, f"The body is not a Parquet file: {str(error).splitlines()[0]}.", cure) from None
    keys = sorted({each.view.key for each in wanted})
    kinds = {ROW: "integer", EVENT: "date"} | dict.fromkeys(keys, "text")
    columns = []
    for column, kind in kinds.items():
        if column not in found:
            raise Problem(400, f"The asked rows have no column {column!r}.", cure)
        if found[column] not in duck.ACCEPTED[kind]:
            raise Problem(400, f"Column {column!r} is {found[column]}; it has to be {duck.TYPES[kind]}.", cure)
        columns.append(f"CAST({name(column)} AS {duck.TYPES[kind]}) AS {name(column)}")
    connection.execute(f"CREATE TABLE given AS SELECT {', '.join(columns)} FROM read_parquet({duck.text(asked)})")
    row = connection.execute(f"SELECT count(*) FROM given WHERE {EVENT} IS NULL OR {ROW} IS NULL").fetchone()
    if row and row[0]:
        raise Problem(400, f"{row[0]:,} asked rows have no {EVENT} or no {ROW}.", cure)
    counts, joins = [], []
    for place, each in enumerate(wanted):
        key = name(each.view.key)
        stored = f"SELECT {key}, count(*) AS n FROM {_stored(parts, each.view)} GROUP BY 1"
        joins.append(f"LEFT JOIN ({stored}) c{place} ON given.{key} = c{place}.{key}")
        counts.append(f"coalesce(c{place}.n, 0)")
    total = " + ".join(counts)
    connection.execute(f"CREATE TABLE asked AS SELECT given.*, {total} AS pairs FROM given {' '.join(joins)}")
    connection.execute("DROP TABLE given")


def by_feast(
    connection: duckdb.DuckDBPyConnection, store: Any, wanted: list[Wanted], target: Path, scratch: Path
) -> None:
    """Read with Feast's own ``get_historical_features``, chunk by chunk."""
    import pyarrow.parquet as pq

    keys = sorted({each.view.key for each in wanted})
    least = PAIRS // ROWS
    chunk = f"CAST(floor(sum(pairs + {least}) OVER (ORDER BY {name(keys[0])}, {ROW}) / {PAIRS}) AS BIGINT)"
    connection.execute(f"CREATE TABLE chunks AS SELECT * EXCLUDE (pairs), {chunk} AS chunk FROM asked")
    numbers = [row[0] for row in connection.execute("SELECT DISTINCT chunk FROM chunks ORDER BY 1").fetchall()]
    names = {full(each.view.name, field): ref for each in wanted for ref, field in each.fields.items()}
    writer: Any = None
    try:
        with backend(scratch):
            for number in numbers or [0]:
                columns = ", ".join([ROW, EVENT, *(name(key) for key in keys)])
                sql = f"SELECT {columns} FROM chunks WHERE chunk = {number}"
                frame = connection.execute(sql).to_arrow_table().to_pandas()
                if frame.empty:  # of which Feast cannot tell the earliest and the latest time
                    break
                answer = store.get_historical_features(
                    entity_df=frame,
                    features=[reference for each in wanted for reference in each.fields],
                    full_feature_names=True,
                    filter_by_created_timestamp=True,
                ).to_arrow()
                del frame
                answer = answer.select([ROW, *names]).rename_columns([ROW, *names.values()])
                writer = writer or pq.ParquetWriter(target, answer.schema, compression="zstd")
                writer.write_table(answer)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        empty = [
            f"CAST(NULL AS {duck.dtypes(w.view)[f]}) AS {name(ref)}" for w in wanted for ref, f in w.fields.items()
        ]
        sql = f"SELECT CAST(NULL AS BIGINT) AS {ROW}, {', '.join(empty)} WHERE false"
        connection.execute(f"COPY ({sql}) TO {duck.text(target)} (FORMAT parquet)")


def by_asof(connection: duckdb.DuckDBPyConnection, wanted: list[Wanted], parts: Parts, target: Path) -> None:
    """Read with DuckDB's ASOF join.

    A stored row counts from when it had happened and was known. Of those that count, the latest is the one with the
    latest time, and of the same time, the one that was created last.
    """
    ctes, joins, columns = [], [], [f"asked.{ROW}"]
    for place, each in enumerate(wanted):
        key, stored, best, picked = name(each.view.key), f"stored{place}", f"best{place}", f"picked{place}"
        fields = ", ".join(name(field) for field in dict.fromkeys(each.fields.values()))
        ctes += [
            f"{stored} AS MATERIALIZED (SELECT {key}, {EVENT}, greatest({EVENT}, {CREATED}) AS known, {fields}, "
            f"row_number() OVER (PARTITION BY {key} ORDER BY {EVENT}, {CREATED}) AS place "
            f"FROM {_stored(parts, each.view)})",
            f"{best} AS (SELECT {key}, known, max(place) OVER "
            f"(PARTITION BY {key} ORDER BY known RANGE UNBOUNDED PRECEDING) AS place FROM {stored})",
            f"{picked} AS (SELECT asked.{ROW}, asked.{EVENT} AS asked_at, b.{key} AS found, b.place FROM asked "
            f"ASOF JOIN {best} b ON asked.{key} = b.{key} AND asked.{EVENT} >= b.known)",
        ]
        alive = ""
        if each.view.ttl_seconds:
            micros = round(each.view.ttl_seconds * 1e6)
            alive = f" AND p.asked_at <= s.{EVENT} + to_microseconds({micros})"
        values = ", ".join(f"s.{name(field)} AS {name(reference)}" for reference, field in each.fields.items())
        joins.append(
            f"LEFT JOIN (SELECT p.{ROW}, {values} FROM {picked} p JOIN {stored} s "
            f"ON p.found = s.{key} AND p.place = s.place{alive}) v{place} ON asked.{ROW} = v{place}.{ROW}"
        )
        columns += [f"v{place}.{name(reference)}" for reference in each.fields]
    sql = f"WITH {', '.join(ctes)} SELECT {', '.join(columns)} FROM asked {' '.join(joins)}"
    connection.execute(f"COPY ({sql}) TO {duck.text(target)} (FORMAT parquet, COMPRESSION zstd)")


def _stored(parts: Parts, view: View) -> str:
    return f"read_parquet({duck.text(parts.glob(view.name))})"


def full(view: str, field: str) -> str:
    """Return Feast's full name of a feature."""
    return f"{view}__{field}"


@contextmanager
def backend(scratch: Path) -> Iterator[None]:
    """Have Feast use a DuckDB with a memory limit, and give its memory back afterwards."""
    import ibis

    earlier = ibis.options.default_backend
    made = ibis.duckdb.connect(memory_limit=MEMORY, threads=duck.THREADS, temp_directory=str(scratch))
    ibis.set_backend(made)
    try:
        yield
    finally:
        ibis.options.default_backend = earlier
        made.disconnect()


def release() -> None:
    """Give freed memory back to the system: the C library keeps it otherwise."""
    import pyarrow

    gc.collect()
    pyarrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
