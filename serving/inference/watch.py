"""A thread that calls a function again and again."""

import sys
import threading
import traceback
from collections.abc import Callable

from serving.model.champion import POLL_SECONDS


class Watch:
    """Calls ``refresh`` every ``POLL_SECONDS`` in a thread."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            try:
                self._refresh()
            except Exception:  # noqa: BLE001 - the thread must keep running to detect a fix
                traceback.print_exc(file=sys.stderr)
