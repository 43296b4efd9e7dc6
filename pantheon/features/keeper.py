"""Keeps the online store complete: what is pushed becomes parts, and what Valkey has lost is brought back."""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pantheon.errors import PantheonError
from pantheon.features.api import Problem
from pantheon.features.contract import Materialized, Pushed, View
from pantheon.features.materialise import Materialiser
from pantheon.features.online import Online
from pantheon.features.push import Pusher
from pantheon.features.service import unavailable

SECONDS = 60.0  # between two parts of what is pushed
KNOWN_SECONDS = 10.0  # for which pushes use a view's definition without asking the registry


class Views(Protocol):
    """The views of the registry; see ``pantheon.features.definitions``."""

    def views(self) -> list[View]:
        """Return all views."""

    def view(self, name: str) -> View:
        """Return a view; raises PantheonError if there is none."""


class Keeper:
    """What the service does with the online store, for requests and by itself. Thread-safe.

    Args:
        seconds: between two looks at what was pushed, and at whether Valkey still has its data.
    """

    def __init__(
        self, online: Online, pusher: Pusher, materialiser: Materialiser, views: Views, seconds: float = SECONDS
    ) -> None:
        self._online, self._pusher, self._materialiser, self._views = online, pusher, materialiser, views
        self._seconds, self._end = seconds, threading.Event()
        self._known: dict[str, tuple[View, float]] = {}
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
        self._pusher.flush()
        return self._materialiser.run(views, everything=everything)

    def push(self, name: str, rows: Any) -> Pushed:
        """Take fresh values of a view; see ``Pusher.push``."""
        view, since = self._known.get(name) or (None, 0.0)
        if view and time.monotonic() - since < KNOWN_SECONDS:
            try:
                return self._pusher.push(view, rows)
            except Problem:
                pass  # perhaps it has more fields now
        view = self._views.view(name)
        self._known[name] = view, time.monotonic()
        return self._pusher.push(view, rows)

    def forget(self, join_key: str, id: str, rewrite: Callable[[], Any]) -> int:
        """Remove an entity; return how many keys it had online.

        Args:
            rewrite: removes its rows from all parts; nothing is brought online meanwhile.
        """
        with self._materialiser.exclusive:
            self._pusher.flush()
            rewrite()
            return self._online.forget(join_key, id, (view for view in self._views.views() if view.key == join_key))

    def look(self) -> None:
        """Store what was pushed, and bring back what Valkey has lost."""
        pushed = [self._views.view(name) for name in self._pusher.flush()] if self._pusher.waiting else []
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
            away = unavailable(error)
            if not away and not isinstance(error, PantheonError):
                traceback.print_exc()
            return f"{away} does not answer, so nothing is brought online" if away else str(error)
        return ""
