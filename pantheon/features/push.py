"""Push: fresh values of entities, durable before the answer, online at once, and offline in the next part."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
from pyarrow import parquet

from pantheon.errors import PantheonError
from pantheon.features import contract, spool
from pantheon.features.api import Problem
from pantheon.features.computing import computed
from pantheon.features.contract import CREATED, EVENT, View
from pantheon.features.online import MICROSECONDS, Online, Row
from pantheon.features.parts import Parts
from pantheon.features.pushed import Pushed, check

ARROW = {"number": pa.float64(), "integer": pa.int64(), "text": pa.string(), "boolean": pa.bool_()}
ARROW["date"] = pa.timestamp("us", "UTC")


class Pusher:
    """Takes pushes of all views. Thread-safe.

    Args:
        folder: of the spool.
        find: returns a view by its name; raises PantheonError if there is none.
    """

    def __init__(self, folder: Path, online: Online, parts: Parts, find: Callable[[str], View]) -> None:
        self._spool, self._online, self._parts, self._find = spool.Spool(folder), online, parts, find
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._last = 0

    def push(self, view: View, rows: Any, engineered: Sequence[View] = ()) -> contract.Pushed:
        """Check rows as users send them, and write them; of two with the same entity and time, the later one counts.

        Args:
            engineered: views that are computed from these rows, and get theirs.

        Raises:
            PantheonError: something is wrong with a row, and none is written; or they are stored, but Valkey does not
                answer, and they will be online when it does. They can be pushed again.
        """
        checked = check(view, rows, datetime.now(UTC))
        with self._lock:
            stamped = [self._stamped(row) for row in checked]
            made = {each.name: _computed(each, view, stamped) for each in engineered}
            self._spool.append(*(spool.Pushes(name, rows) for name, rows in {view.name: stamped, **made}.items()))
            try:
                counts = self._online.write(view, [_row(view, row) for row in stamped])
                for each in engineered:
                    self._online.write(each, [_row(each, row) for row in made[each.name]])
            except PantheonError as error:
                cause = f"the rows are stored, but they are not online yet: {error.cause}"
                raise PantheonError(cause, error.cure, 1) from None
        return contract.Pushed(written=counts.written, older=counts.older, computed=sorted(made))

    @property
    def waiting(self) -> bool:
        """Whether anything is not in a part yet."""
        return not self._spool.empty

    def flush(self) -> list[str]:
        """Make parts of what was pushed; return the views that have new ones.

        Raises:
            PantheonError: some rows could not be stored; they stay in the spool. Those of other views are stored.
        """
        with self._flushing:
            with self._lock:  # a push that is on its way to the online store is in the spool, too
                segments = self._spool.closed()
            done: list[str] = []
            failed: PantheonError | None = None
            for segment in segments:
                try:
                    done += self._store(segment)
                    self._spool.remove(segment)
                except PantheonError as error:
                    failed = failed or error
            if failed:
                raise failed
            return sorted(set(done))

    def _store(self, segment: Path) -> list[str]:
        found: dict[str, list[Pushed]] = {}
        for pushes in spool.read(segment):
            found.setdefault(pushes.view, []).extend(pushes.rows)
        done: list[str] = []
        failed: PantheonError | None = None
        for name, rows in found.items():
            try:
                view = self._find(name)
                for each in rounds(rows):
                    self._write(view, each)
                done.append(name)
            except PantheonError as error:
                if isinstance(error, Problem) and error.code == 404:
                    said = f"{len(rows):,} rows that were pushed to {name} are dropped: it does not exist any more."
                    print(f"feast: {said}", file=sys.stderr, flush=True)
                else:
                    failed = failed or error
        if failed:
            raise failed
        return done

    def _write(self, view: View, rows: Sequence[Pushed]) -> None:
        """Write a part; the same rows again make none."""
        self._parts.scratch.mkdir(parents=True, exist_ok=True)
        path = self._parts.scratch / f"pushed-{view.name}.parquet"
        try:
            write_parquet(view, rows, path)
            # Corrections are known since they arrived, and not only since they are in a part.
            arrived = datetime.fromtimestamp(rows[0].created / MICROSECONDS, UTC)
            self._parts.write(view, path, now=arrived)
        finally:
            path.unlink(missing_ok=True)

    def _stamped(self, row: Pushed) -> Pushed:
        """Give a row the time of its arrival, which no other row has."""
        self._last = max(int(time.time() * MICROSECONDS), self._last + 1)
        return msgspec.structs.replace(row, created=self._last, event=self._last if row.event is None else row.event)


def rounds(rows: Sequence[Pushed]) -> Iterator[list[Pushed]]:
    """Yield rows so that no entity and time is twice in one list: the later one is a correction of the earlier one."""
    seen: dict[tuple[str, int | None], int] = {}
    found: list[list[Pushed]] = []
    for row in rows:
        place = seen[row.id, row.event] = seen.get((row.id, row.event), -1) + 1
        if place == len(found):
            found.append([])
        found[place].append(row)
    yield from found


def write_parquet(view: View, rows: Sequence[Pushed], path: Path) -> None:
    """Write rows with the key, ``event_timestamp``, ``created`` and all fields of the view."""
    parquet.write_table(_table(view, rows), path)


def _table(view: View, rows: Sequence[Pushed]) -> pa.Table:
    columns: dict[str, tuple[str, list[Any]]] = {view.key: ("text", [row.id for row in rows])}
    columns |= {EVENT: ("date", [row.event for row in rows]), CREATED: ("date", [row.created for row in rows])}
    columns |= {field.name: (field.type, [row.values.get(field.name) for row in rows]) for field in view.fields}
    return pa.table({name: pa.array(values, ARROW[kind]) for name, (kind, values) in columns.items()})


def _computed(view: View, raw: View, rows: Sequence[Pushed]) -> list[Pushed]:
    """Return the rows of an engineered view, of the same entities and times."""
    if view.code is None:
        raise ValueError(f"{view.name} has no code")
    stored = pl.from_arrow(_table(raw, rows))
    assert isinstance(stored, pl.DataFrame)
    values = computed(view, view.code, raw, stored).select(field.name for field in view.fields).to_dicts()
    return [msgspec.structs.replace(row, values=each) for row, each in zip(rows, values, strict=True)]


def _row(view: View, row: Pushed) -> Row:
    assert row.event is not None
    values = [
        value // MICROSECONDS if field.type == "date" and value is not None else value
        for field, value in ((field, row.values[field.name]) for field in view.fields)
    ]
    return Row(row.id, row.event, row.created, values)
