"""The model that answers now: notices a new champion, loads it beside the old one, and swaps them in one assignment."""

import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from pantheon.errors import PantheonError
from pantheon.store import ModelStore
from serving.predictor import BrokenBundle, Predictor
from serving.state import State

INTERVAL = 0.5  # seconds between looks at the alias: a read of two small files
RETRY = 5.0  # seconds before a version that could not be loaded is tried again: a disk may have been full


@dataclass(frozen=True)
class Refusal:
    """A champion that cannot be served; the one before it goes on answering."""

    model: str
    version: str
    why: str
    since: str


class Champion:
    """Follows ``state/serving.json`` and the store's champion alias.

    Attributes:
        current: the predictor that answers; None until a model is deployed. Handlers read it once per request, so a
            request that began with one version ends with it.
        refusal: why the newest champion is not the one that answers, if so.
    """

    def __init__(self, state: State, store: ModelStore) -> None:
        self.current: Predictor | None = None
        self.refusal: Refusal | None = None
        self._state, self._store = state, store
        self._tried = 0.0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def look(self) -> None:
        """Load the champion if it is another than the one that answers; what is wrong goes into ``refusal``."""
        with self._lock:
            model = self._state.served
            version = ""
            try:
                alias = self._store.alias(model, "champion") if model else None
                if alias is None:
                    return
                version = alias.version
                now, refused = self.current, self.refusal
                if now and (now.model, now.version) == (model, version):
                    self.refusal = None
                    return
                if (
                    refused
                    and (refused.model, refused.version) == (model, version)
                    and monotonic() - self._tried < RETRY
                ):
                    return
                self._tried = monotonic()
                self.current = Predictor(self._store.get(model, version), model, version)
                self.refusal = None
                _log(f"version {version} of {model} answers now")
            except (PantheonError, BrokenBundle, OSError) as error:
                self._refuse(model, version, str(error))

    def _refuse(self, model: str, version: str, why: str) -> None:
        if self.refusal and (self.refusal.model, self.refusal.version, self.refusal.why) == (model, version, why):
            return
        self.refusal = Refusal(model, version, why, datetime.now(UTC).isoformat(timespec="seconds"))
        rest = f"; version {self.current.version} goes on answering" if self.current else ""
        _log(f"version {version or '?'} of {model} cannot be served: {why}{rest}")

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            self.look()


def _log(text: str) -> None:
    print(f"button: {text}", file=sys.stderr, flush=True)
