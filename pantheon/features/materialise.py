"""Materialisation: brings the newest values of each entity online, part by part.

Parts are immutable, so only parts that are not online yet are read. Late rows and corrections are rows of new parts
like any other: the online store keeps the newest. Everything can be repeated and interrupted at any time: a part is
only remembered as online when all its rows are, and if Valkey has lost its rows, all parts are read again.
"""

import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

from pantheon.errors import PantheonError
from pantheon.features import duck
from pantheon.features.contract import CREATED, EVENT, Materialized, View
from pantheon.features.online import MICROSECONDS, Lost, Online, Row, Span
from pantheon.features.parts import Parts

ROWS_AT_ONCE = 500_000  # of several parts together
SLICE = 10_000  # rows that are Python objects at once
_SECONDS = "epoch_us({0}) // 1000000 - CAST(epoch_us({0}) % 1000000 < 0 AS BIGINT)"  # rounded down
TIMES = 3  # how often a view is tried while Valkey loses its data


class Intervals(Protocol):
    """What Feast's registry knows about materialisations; see ``pantheon.features.intervals``."""

    def last(self, view: str) -> int | None:
        """Return the end of a view's last interval in microseconds since 1970; None: it has none."""

    def add(self, view: str, start: int, end: int) -> None:
        """Add an interval, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Parts that are read together."""

    paths: list[Path]
    rows: int
    earliest: int


class Materialiser:
    """Brings parts online, one view at a time.

    Attributes:
        exclusive: held while a view is brought online. Whoever removes rows from parts holds it, too.
    """

    def __init__(self, online: Online, parts: Parts, intervals: Intervals) -> None:
        self._online, self._parts, self._intervals = online, parts, intervals
        self.exclusive = threading.RLock()

    def run(self, views: Iterable[View], *, everything: bool = False) -> dict[str, Materialized]:
        """Bring online what is not, and return counts by view.

        Args:
            everything: read all parts again.

        Raises:
            PantheonError: Valkey or PostgreSQL does not answer, or a part cannot be read.
        """
        return {view.name: self._repeatedly(view, everything) for view in views}

    def lost(self, views: Iterable[View]) -> list[View]:
        """Return the views that were online and are not any more: Valkey has lost its data."""
        return [view for view in views if view.entity and self._is_lost(view, self._online.parts(view))]

    def forget(self, views: Iterable[View], ids: Mapping[str, Collection[str]]) -> int:
        """Remove entities online whose rows were removed from parts; write what is left of them in parts.

        Hold ``exclusive`` since before rows were removed. If this is interrupted, ``run`` writes these views anew.

        Args:
            ids: by join key.

        Returns:
            How many entities were online.
        """
        removed = 0
        for key, these in ids.items():
            of_key = [view for view in views if view.key == key and view.entity]
            removed += self._online.remove(key, these, of_key)
            for view in of_key:
                generation, online = self._online.generation(), self._online.parts(view)
                present = self._parts.copies(view.name)
                if present:
                    self._online.write(view, self._newest(view, present, these))
                gone = set(online) - {path.name for path in present}
                moments = {name.partition("-")[0]: online[name] for name in gone}
                again = {
                    path.name: moments[moment]
                    for path in present
                    if path.name not in online and (moment := path.name.partition("-")[0]) in moments
                }
                self._online.mark(view, generation, again, gone)
        if ids:  # also if an earlier attempt was interrupted before this
            self._online.rewrite()
        return removed

    def _is_lost(self, view: View, online: dict[str, Span]) -> bool:
        return not online and self._intervals.last(view.name) is not None and bool(self._parts.copies(view.name))

    def _repeatedly(self, view: View, everything: bool) -> Materialized:
        if not view.entity:
            return Materialized(read=0, written=0, older=0, seconds=0.0)
        for again in range(TIMES, 0, -1):
            try:
                with self.exclusive:
                    return self._view(view, everything)
            except Lost as error:
                print(f"feast: {view.name}: {error}", file=sys.stderr, flush=True)
                if again == 1:
                    raise
        raise AssertionError

    def _view(self, view: View, everything: bool) -> Materialized:
        began, now = time.monotonic(), int(time.time() * MICROSECONDS)
        self._parts.ensure(view)
        generation = self._online.generation()
        online, present = self._online.parts(view), self._parts.copies(view.name)
        lost = self._is_lost(view, online)
        if set(online) - {path.name for path in present}:  # rows were removed, and that was interrupted
            self._online.clear(view)
            online = {}
        read = written = older = 0
        for group in self._groups(view, [path for path in present if everything or path.name not in online]):
            witness = ""

            def rows(group: _Group = group) -> Iterator[Row]:
                nonlocal witness
                for row in self._newest(view, group.paths):
                    witness = row.id
                    yield row

            counts = self._online.write(view, rows())
            span = Span(min(group.earliest, now), now)
            self._online.mark(view, generation, {path.name: span for path in group.paths}, witness=witness)
            read, written, older = read + group.rows, written + counts.written, older + counts.older
        self._record(view)
        if lost:
            words = f"Valkey had lost it; {written:,} entities are online again, from {len(present):,} parts"
            print(f"feast: {view.name}: {words}", file=sys.stderr, flush=True)
        seconds = round(time.monotonic() - began, 3)
        return Materialized(read=read, written=written, older=older, seconds=seconds, rebuilt=lost)

    def _groups(self, view: View, paths: Sequence[Path]) -> Iterator[_Group]:
        """Yield parts by and by, several small ones together."""
        if not paths:
            return
        sql = (
            f"SELECT filename, count(*), min(epoch_us({duck.name(EVENT)})) "
            f"FROM read_parquet([{', '.join(map(duck.text, paths))}], filename = true) GROUP BY ALL ORDER BY filename"
        )
        waiting: list[Path] = []
        rows, earliest = 0, 0
        for name, count, first in list(self._fetch(view, sql)):
            if waiting and rows + count > ROWS_AT_ONCE:
                yield _Group(waiting, rows, earliest)
                waiting, rows = [], 0
            earliest = min(earliest, first) if waiting else first
            waiting, rows = [*waiting, Path(name)], rows + count
        if waiting:
            yield _Group(waiting, rows, earliest)

    def _newest(self, view: View, paths: Sequence[Path], ids: Collection[str] = ()) -> Iterator[Row]:
        """Yield the newest row of each entity, or of those named."""
        key, event, created = map(duck.name, (view.key, EVENT, CREATED))
        columns = [key, f"epoch_us({event})", f"epoch_us({created})"]
        for field in view.fields:
            name = duck.name(field.name)
            columns.append(_SECONDS.format(name) if field.type == "date" else name)
        where = f"WHERE {key} IN ({', '.join(map(duck.text, ids))}) " if ids else ""
        sql = (
            f"SELECT {', '.join(columns)} FROM {duck.source(paths)} {where}"
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {event} DESC, {created} DESC) = 1"
        )
        for id, at, known, *values in self._fetch(view, sql):
            yield Row(id, at, known, values)

    def _fetch(self, view: View, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            with self._parts.gate.reading(), duck.connect(self._parts.scratch) as connection:
                found = connection.execute(sql)
                while rows := found.fetchmany(SLICE):
                    yield from rows
        except (OSError, duckdb.Error) as error:
            what = f"parts of {view.name} cannot be read: {str(error).splitlines()[0]}."
            raise PantheonError(what, "Restart the service; it copies them again: `bin/pantheon up`", 1) from None

    def _record(self, view: View) -> None:
        """Tell Feast's registry about what it does not know yet, also from a run that was killed before it could."""
        last = self._intervals.last(view.name)
        missing = [span for span in self._online.parts(view).values() if last is None or span.end > last]
        if missing:
            start, end = min(span.start for span in missing), max(span.end for span in missing)
            self._intervals.add(view.name, start, end)
