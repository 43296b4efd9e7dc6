"""The rows of views as immutable Parquet files ("parts"), where the models are; and a copy of them on this machine.

A part is ``VIEW/TIME-HASH.parquet``: the time of writing and the SHA-256 of its content. Feast reads the copies
(``mirror``) by a glob. ``0-schema.parquet`` has no rows: it is there before the first part is. All parts of a view have
the same columns.

What is stored is what counts: after a ``kill -9`` at any point, ``prepare`` makes the mirror equal to it again.
"""

import hashlib
import threading
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pantheon import files
from pantheon.features import duck
from pantheon.features.api import Problem
from pantheon.features.checks import check
from pantheon.features.contract import CREATED, EVENT, View, Written
from pantheon.features.duck import name
from pantheon.features.gate import Gate
from pantheon.features.quality import CHECKS, RUN, encoded
from pantheon.store.place import CurrentPlace, FolderPlace, Place

ROOT = "features"  # of the state folder and of the bucket
SCHEMA = "0-schema.parquet"  # before all parts, whose names begin with a year
SUFFIX = ".parquet"
_SCRATCH = ".scratch"


class BadRows(Problem):
    """Rows that cannot be stored."""

    def __init__(self, cause: str, cure: str = "Correct the rows and send them again.") -> None:
        super().__init__(400, cause, cure)


class Parts:
    """The parts of all views. Thread-safe; the only writer.

    Args:
        place: where they are stored.
        mirror: the folder of the copies.

    Attributes:
        gate: held by readers of the mirror.
    """

    def __init__(self, place: Place, mirror: Path) -> None:
        self.place, self.mirror, self.gate = place, mirror, Gate()
        self.scratch = mirror / _SCRATCH
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._lock = threading.Lock()
        self._ready: set[str] = set()  # views whose copies are known to be what is stored
        duck.clear(self.scratch)
        for folder in (mirror, place.folder if isinstance(place, FolderPlace | CurrentPlace) else mirror):
            if folder.exists():
                files.remove_parts(folder)

    def gather(self) -> int:
        """Bring parts to where they are stored since a move of the store; return how many. Other methods do it, too."""
        return self.place.gather() if isinstance(self.place, CurrentPlace) else 0

    def lock(self, view: str) -> threading.RLock:
        """Return the lock of a view's writers."""
        with self._lock:
            return self._locks[view]

    def glob(self, view: str) -> Path:
        """Return the path by which Feast reads a view."""
        return self.mirror / view / f"*{SUFFIX}"

    def copies(self, view: str) -> list[Path]:
        """Return the copies of a view's parts, oldest first."""
        return sorted(path for path in (self.mirror / view).glob(f"[1-9]*{SUFFIX}"))

    def clash(self, view: View) -> str:
        """Return why rows of this view cannot be among the stored ones of its name; empty: they can."""
        wanted = duck.dtypes(view)
        with self.lock(view.name), duck.connect(self.scratch) as connection:
            for key in self._stored(view.name):
                copy = self.mirror / key
                path = copy if copy.exists() else self.place.fetch(key, self.scratch)
                if path is None:
                    continue  # removed a moment ago
                found = duck.columns_of(connection, path)
                for column in {**wanted, **found}:
                    if wanted.get(column) != found.get(column):
                        return f"{column!r} is {found.get(column)} in earlier parts, not {wanted.get(column)}"
                return ""  # all parts of a view have the same columns
        return ""

    def prepare(self, view: View) -> int:
        """Make the copies of a view equal to what is stored; return how many were written.

        Raises:
            PantheonError: the place does not answer, or the disk is full.
        """
        folder, wanted, count = self.mirror / view.name, duck.dtypes(view), 0
        with self.lock(view.name), duck.connect(self.scratch) as connection:
            folder.mkdir(parents=True, exist_ok=True)
            stored = {Path(key).name: key for key in self._stored(view.name)}
            gone = [path for path in self.copies(view.name) if path.name not in stored]
            if gone:
                with self.gate.writing():
                    for path in gone:
                        path.unlink()
            for file, key in stored.items():
                if not (folder / file).exists() and (content := self.place.read(key)) is not None:
                    files.write_bytes(folder / file, content)
                    count += 1
            schema = folder / SCHEMA
            if not schema.exists():
                empty = ", ".join(f"CAST(NULL AS {dtype}) AS {name(column)}" for column, dtype in wanted.items())
                self._copy(connection, f"SELECT {empty} WHERE false", schema)
            self._ready.add(view.name)
        return count

    def ensure(self, view: View) -> None:
        """Prepare a view that was not prepared since the start of this process, or whose last write failed."""
        with self.lock(view.name):
            if view.name not in self._ready:
                self.prepare(view)

    def write(
        self, view: View, rows: Path, run: str = "", now: datetime | None = None, *, more: bool = False
    ) -> Written:
        """Store the rows that are new, or have other values than stored.

        A new row keeps its ``created``. A correction (the same key and time, other values) gets the time of this call.

        Args:
            rows: a Parquet file with the view's columns; ``created`` may be missing: the event's time.
            run: the run that computed them.
            now: the time of this call.
            more: whether the file may have more columns, which are left out.

        Raises:
            BadRows: a column is missing or has the wrong type, or a row has no key or time, or appears twice.
            PantheonError: the place does not answer, or the disk is full.
        """
        moment = now or datetime.now(UTC)
        with self.lock(view.name), duck.connect(self.scratch) as connection:
            self.ensure(view)
            self._load(connection, view, rows, more)
            counted = connection.execute("SELECT count(*) FROM posted").fetchone()
            checks = check(connection, "posted", view, moment)
            target = self.scratch / f"{view.name}-{threading.get_ident()}{SUFFIX}"
            try:
                self._copy(connection, self._new_rows(view, moment), target, {RUN: run, CHECKS: encoded(checks)})
                row = connection.execute(f"SELECT num_rows FROM parquet_file_metadata({duck.text(target)})").fetchone()
                new = int(row[0]) if row else 0
                part = self._store(view.name, target.read_bytes(), moment) if new else None
            finally:
                target.unlink(missing_ok=True)
        return Written(part=part, rows=int(counted[0]) if counted else 0, new=new, checks=checks)

    def replace(self, view: str, part: str, content: bytes | None) -> None:
        """Replace a part by one without some of its rows; None: by none. For ``forget``; hold ``gate.writing``."""
        moment = part.partition("-")[0]
        if content is not None:
            file = _named(moment, content)
            self.place.put_new(f"{view}/{file}", content)
            files.write_bytes(self.mirror / view / file, content)
        self.place.remove(f"{view}/{part}")
        (self.mirror / view / part).unlink(missing_ok=True)

    def _stored(self, view: str) -> list[str]:
        return sorted(stored.key for stored in self.place.list(f"{view}/") if stored.key.endswith(SUFFIX))

    def _store(self, view: str, content: bytes, moment: datetime) -> str:
        file = _named(f"{moment:%Y%m%dT%H%M%S%f}Z", content)
        self._ready.discard(view)  # until it is written in both places
        self.place.put_new(f"{view}/{file}", content)
        files.write_bytes(self.mirror / view / file, content)
        self._ready.add(view)
        return file

    def _load(self, connection: duckdb.DuckDBPyConnection, view: View, rows: Path, more: bool) -> None:
        """Make ``posted`` from a file."""
        try:
            found = duck.columns_of(connection, rows)
        except duckdb.Error as error:
            raise BadRows(f"these rows are not a Parquet file: {str(error).splitlines()[0]}.") from None
        accepted = {view.key: "text", EVENT: "date", CREATED: "date"} | {f.name: f.type for f in view.fields}
        wanted = duck.dtypes(view)
        columns = []
        for column, kind in accepted.items():
            dtype = found.pop(column, None)
            if dtype is None and column == CREATED:
                columns.append(f"CAST({name(EVENT)} AS {duck.MOMENT}) AS {name(CREATED)}")
                continue
            if dtype is None:
                raise BadRows(f"the rows of the view {view.name!r} have no column {column!r}.")
            if dtype not in duck.ACCEPTED[kind]:
                raise BadRows(f"column {column!r} of the view {view.name!r} is {dtype}; it has to be {wanted[column]}.")
            value = f"CAST({name(column)} AS {wanted[column]})"
            if kind == "number":
                value = f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END"
            columns.append(f"{value} AS {name(column)}")
        if found and not more:
            raise BadRows(f"the view {view.name!r} has no field {next(iter(found))!r}.", "Define it first: PUT /views")
        connection.execute(f"CREATE TABLE posted AS SELECT {', '.join(columns)} FROM read_parquet({duck.text(rows)})")
        key = name(view.key)
        for column in (view.key, EVENT):
            row = connection.execute(f"SELECT count(*) FROM posted WHERE {name(column)} IS NULL").fetchone()
            if row and row[0]:
                raise BadRows(f"{row[0]:,} rows of the view {view.name!r} have no {column!r}.")
        twice = f"SELECT {key}, {EVENT} FROM posted GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
        if row := connection.execute(twice).fetchone():
            raise BadRows(f"{view.key} {row[0]!r} of the view {view.name!r} has two rows of the same time, {row[1]}.")

    def _new_rows(self, view: View, moment: datetime) -> str:
        """Return SQL for the rows of ``posted`` that are not stored with these values."""
        key = name(view.key)
        every = [name(column) for column in duck.dtypes(view)]
        copies = self.copies(view.name)
        if not copies:
            return f"SELECT {', '.join(every)} FROM posted ORDER BY {key}, {EVENT}"
        stored = (
            f"SELECT {', '.join(every)} FROM {duck.source(copies)} "
            f"QUALIFY row_number() OVER (PARTITION BY {key}, {EVENT} ORDER BY {CREATED} DESC) = 1"
        )
        if view.time:
            join = f"LEFT JOIN stored s ON p.{key} = s.{key} AND p.{EVENT} = s.{EVENT}"
        else:  # the time of loading stands in: compare with the latest row
            join = f"ASOF LEFT JOIN stored s ON p.{key} = s.{key} AND p.{EVENT} >= s.{EVENT}"
        fields = [f"p.{name(field.name)}" for field in view.fields]
        differs = " OR ".join(f"p.{name(field.name)} IS DISTINCT FROM s.{name(field.name)}" for field in view.fields)
        now = f"CAST({duck.text(moment.isoformat())} AS {duck.MOMENT})"
        created = (
            f"CASE WHEN s.{EVENT} = p.{EVENT} "
            f"THEN greatest({now}, p.{CREATED}, s.{CREATED} + INTERVAL 1 MICROSECOND) ELSE p.{CREATED} END"
        )
        return (
            f"WITH stored AS ({stored}) SELECT p.{key}, p.{EVENT}, {created} AS {CREATED}, {', '.join(fields)} "
            f"FROM posted p {join} WHERE s.{key} IS NULL OR {differs} ORDER BY p.{key}, p.{EVENT}"
        )

    def _copy(
        self, connection: duckdb.DuckDBPyConnection, sql: str, path: Path, said: dict[str, str] | None = None
    ) -> None:
        """Write the result of SQL to a Parquet file, atomically."""
        with files.atomic(path) as part:
            pairs = ", ".join(f"{key}: {duck.text(value)}" for key, value in (said or {}).items() if value)
            metadata = f", KV_METADATA {{{pairs}}}" if pairs else ""
            connection.execute(f"COPY ({sql}) TO {duck.text(part)} (FORMAT parquet, COMPRESSION zstd{metadata})")


def _named(moment: str, content: bytes) -> str:
    return f"{moment}-{hashlib.sha256(content).hexdigest()[:16]}{SUFFIX}"
