"""The model that is serving. Detects a new champion, loads it while the old one serves, and swaps them atomically."""

import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from pantheon.errors import PantheonError
from pantheon.store import Alias, ModelStore
from serving.model.predictor import BrokenBundle, Predictor
from serving.state import State

POLL_SECONDS = 0.5  # between checks of the alias: reads two small files, or sends one conditional GET
RETRY_SECONDS = 5.0  # before a version that could not be loaded is tried again, for example after a full disk


@dataclass(frozen=True)
class Refusal:
    """A champion that cannot be served; the previous version keeps serving."""

    model: str
    version: str
    why: str
    since: str


class Champion:
    """Follows ``shared/serving.json`` and the store's champion alias.

    Attributes:
        current: the predictor in use; None until a model is deployed. Handlers read it once per request, so a request
            uses the same version from start to end.
        folders: version → folder of every version that has served since the start: pages that were opened with an
            earlier version still load its pictures.
        refusal: why the newest champion is not serving, if so.
    """

    def __init__(self, state: State, store: ModelStore) -> None:
        self.current: Predictor | None = None
        self.folders: dict[str, Path] = {}
        self.refusal: Refusal | None = None
        self._state, self._store = state, store
        self._tried = 0.0
        self._kept: tuple[str, Alias] | None = None  # the store's location and the alias that is stored for restarts
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)

    @property
    def version(self) -> str:
        """``MODEL/VERSION`` of what is serving; empty before the first."""
        current = self.current
        return f"{current.model}/{current.version}" if current else ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def refresh(self) -> None:
        """Load the champion if it has changed. Errors are stored in ``refusal``."""
        with self._lock:
            model = version = ""
            try:
                model = self._state.served
                alias = self._store.alias(model, "champion") if model else None
                if alias is None:
                    return
                version = alias.version
                now, refused = self.current, self.refusal
                if now and (now.model, now.version) == (model, version):
                    if self._kept != (self._store.where, alias):  # the store was moved, or the alias has a new note
                        if self.refusal and monotonic() - self._tried < RETRY_SECONDS:
                            return
                        self._tried = monotonic()
                        self._keep(model, alias, self._store.get(model, version))
                    self.refusal = None
                    return
                if (
                    refused
                    and (refused.model, refused.version) == (model, version)
                    and monotonic() - self._tried < RETRY_SECONDS
                ):
                    return
                self._tried = monotonic()
                folder = self._store.get(model, version)
                self._answer(Predictor(folder, model, version, alias.since))
                self.refusal = None
                _log(f"version {version} of {model} is serving")
                self._keep(model, alias, folder)
            except Exception as error:  # noqa: BLE001 - the thread must keep running to detect a fix
                self._refuse(model, version, message(error))
                if self.current is None and model:
                    self._recall(model)

    def _answer(self, predictor: Predictor) -> None:
        """Swap the predictor: new requests use this one."""
        same = self.current is not None and self.current.model == predictor.model
        self.folders = {**(self.folders if same else {}), predictor.version: predictor.folder}
        self.current = predictor

    def _keep(self, model: str, alias: Alias, folder: Path) -> None:
        """Store locally which version is serving, for a start while the store is unreachable."""
        self._store.remember(model, alias, folder)
        self._kept = self._store.where, alias

    def _recall(self, model: str) -> None:
        """Serve this machine's copy of the last champion, after a start while the store is unreachable."""
        try:
            remembered = self._store.remembered(model)
            if remembered is None:
                return
            alias, folder = remembered
            self._answer(Predictor(folder, model, alias.version, alias.since))
        except Exception as error:  # noqa: BLE001 - see above
            _log(f"the local copy of {model} cannot be served either: {message(error)}")
            return
        _log(f"the store is unreachable; serving the last champion, version {alias.version} of {model}, from a copy")

    def _refuse(self, model: str, version: str, why: str) -> None:
        if self.refusal and (self.refusal.model, self.refusal.version, self.refusal.why) == (model, version, why):
            return
        self.refusal = Refusal(model, version, why, datetime.now(UTC).isoformat(timespec="seconds"))
        rest = f"; version {self.current.version} keeps serving" if self.current else ""
        what = (
            f"version {version} of {model} cannot be served" if version else f"the champion of {model} cannot be read"
        )
        _log(f"{what}: {why}{rest}")

    def _watch(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            self.refresh()


def message(error: Exception) -> str:
    """Return an error's message; unexpected errors with their type: ``KeyError: 'a'``."""
    expected = isinstance(error, (PantheonError, BrokenBundle, OSError))
    return str(error) if expected else f"{type(error).__name__}: {error}"


def _log(text: str) -> None:
    print(f"button: {text}", file=sys.stderr, flush=True)
