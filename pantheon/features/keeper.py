"""Keeps the online store complete: what is pushed becomes parts, and what Valkey has lost is brought back."""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pantheon.errors import PantheonError
from pantheon.features.api import Problem
from pantheon.features.catalogue import iso
from pantheon.features.computing import reads, row_by_row
from pantheon.features.contract import Known, Materialized, Pushed, View, canonical
from pantheon.features.forgetting import remove
from pantheon.features.history import ENTITIES, EXPIRED, KNOWN, UNKNOWN, expired, plain
from pantheon.features.materialise import Intervals, Materialiser
from pantheon.features.online import Online
from pantheon.features.parts import Parts
from pantheon.features.push import Pusher

SECONDS = 60.0  # between two parts of what is pushed
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KNOWN_SECONDS = 10.0  # for which pushes use a view's definition without asking the registry


class Views(Protocol):
    """The views of the registry; see ``pantheon.features.definitions``."""

    def views(self) -> list[View]:
        """Return all views."""

    def view(self, name: str) -> View:
        """Return a view; raises PantheonError if there is none."""


@dataclass(frozen=True)
class Push:
    """A view to which rows are pushed, the views that are computed from them, and those that would have to be."""

    view: View
    engineered: list[View]
    stale: list[str]

    def __call__(self, pusher: Pusher, rows: Any) -> Pushed:
        done = pusher.push(self.view, rows, self.engineered)
        return msgspec.structs.replace(done, stale=self.stale)


class Keeper:
    """What the service does with the online store, for requests and by itself. Thread-safe.

    Args:
        spool: the folder of what was pushed and is not in a part yet.
        away: says which service an error is about; empty: none.
        seconds: between two looks at what was pushed, and at whether Valkey still has its data.
    """

    def __init__(
        self,
        spool: Path,
        online: Online,
        parts: Parts,
        views: Views,
        intervals: Intervals,
        away: Callable[[BaseException], str],
        seconds: float = SECONDS,
    ) -> None:
        self._online, self._parts, self._views = online, parts, views
        self._pusher = Pusher(spool, online, parts, views.view)
        self._materialiser = Materialiser(online, parts, intervals)
        self._away, self._seconds, self._end = away, seconds, threading.Event()
        self._known: dict[str, tuple[Push, float]] = {}
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to look by itself; at once for the first time: the service may have been killed."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; what was pushed stays in the spool."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def materialise(self, names: Sequence[str] | None = None, *, everything: bool = False) -> dict[str, Materialized]:
        """Bring views online, all if ``names`` is None; see ``Materialiser.run``."""
        views = self._views.views() if names is None else [self._views.view(name) for name in dict.fromkeys(names)]
        self.store_pushes()
        return self._materialiser.run(views, everything=everything)

    def push(self, name: str, rows: Any) -> Pushed:
        """Take fresh values of a view, and compute the engineered views that need nothing else; see ``Pusher.push``."""
        known, since = self._known.get(name) or (None, 0.0)
        if known and time.monotonic() - since < KNOWN_SECONDS:
            try:
                return known(self._pusher, rows)
            except Problem:
                pass  # perhaps it has more fields now
        view, others = self._views.view(name), self._views.views()
        engineered = [each for each in others if row_by_row(each, view)]
        stale = [each.name for each in others if reads(each, view) and each not in engineered]
        known = Push(view, engineered, stale)
        self._known[name] = known, time.monotonic()
        return known(self._pusher, rows)

    def definitions_changed(self) -> None:
        """Have the next push ask for the views again."""
        self._known.clear()

    def online(self, ids: Sequence[Any], name: str = "") -> list[Known]:
        """Return what is online of entities in one view, or in all.

        Raises:
            Problem: an id is not valid, or there is no such view.
        """
        try:
            asked = [canonical(id) for id in ids]
        except ValueError as error:
            raise Problem(400, f"{error}.", "Use a text or a number, such as 7.") from None
        if not 1 <= len(asked) <= ENTITIES:
            raise Problem(400, f"Name 1 to {ENTITIES:,} entities.", 'For example {"entities": [7]}.')
        views = [self._views.view(name)] if name else self._views.views()
        now = datetime.now(UTC)
        return [
            _known(view, id, found, now)
            for view in views
            if view.entity
            for id, found in zip(asked, self._online.read(view, asked), strict=True)
        ]

    def forget(self, column: str, value: Any) -> dict[str, int]:
        """Remove the rows with ``value`` in ``column``, offline and online; nothing is brought online meanwhile.

        Returns:
            ``online``: entities, ``parts``: files that were written anew, ``rows``.
        """
        with self._materialiser.exclusive:
            self._pusher.flush()
            views = self._views.views()
            done = remove(views, self._parts, self._parts.gate.writing, column, value)
            online = self._materialiser.forget(views, done.keys)
        return {"online": online, "parts": done.parts, "rows": done.rows}

    def store_pushes(self) -> None:
        """Make parts of what was pushed, before parts are read or written.

        If that fails, this is not a reason to fail: it is said, and tried again later.
        """
        try:
            if self._pusher.waiting:
                self._pusher.flush()
        except PantheonError as error:
            print(f"feast: {error}", file=sys.stderr, flush=True)

    def look(self) -> None:
        """Store what was pushed, follow a move of the store, and bring back what Valkey has lost."""
        pushed = [self._views.view(name) for name in self._pusher.flush()] if self._pusher.waiting else []
        self._parts.gather()
        self._materialiser.run(pushed)
        self._materialiser.run(self._materialiser.lost(self._views.views()))

    def _watch(self) -> None:
        said = ""
        while True:
            now = self._tried()
            if now and now != said:
                print(f"feast: {now}", file=sys.stderr, flush=True)
            said = now
            if self._end.wait(self._seconds):
                return

    def _tried(self) -> str:
        """Look; return why that failed: it is tried again. Faults of this program are shown with all details."""
        try:
            self.look()
        except Exception as error:  # noqa: BLE001
            away = self._away(error)
            if not away and not isinstance(error, PantheonError):
                traceback.print_exc()
            return f"{away} does not answer, so nothing is brought online" if away else str(error)
        return ""


def _known(view: View, id: str, found: tuple[int, list[Any]] | None, now: datetime) -> Known:
    if found is None:
        return Known(entity=id, view=view.name, time=None, state=UNKNOWN, features={})
    event, values = _EPOCH + timedelta(microseconds=found[0]), dict[str, Any]()
    for field, value in zip(view.fields, found[1], strict=True):
        dated = field.type == "date" and value is not None
        values[field.name] = plain(_EPOCH + timedelta(seconds=value) if dated else value)
    state = EXPIRED if expired(event, view.ttl_seconds, now) else KNOWN
    return Known(entity=id, view=view.name, time=iso(event), state=state, features=values)
