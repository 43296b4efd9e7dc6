"""The model that answers now: notices a new champion, loads it beside the old one, and swaps them in one assignment."""

import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from pantheon.errors import PantheonError
from pantheon.store import Alias, ModelStore
from serving.predictor import BrokenBundle, Predictor
from serving.state import State

INTERVAL = 0.5  # seconds between looks at the alias: a read of two small files, or one conditional GET
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
        folders: where each version lies that has answered since the start, by its number: a page that was opened with
            the version before still asks for its pictures.
        refusal: why the newest champion is not the one that answers, if so.
    """

    def __init__(self, state: State, store: ModelStore) -> None:
        self.current: Predictor | None = None
        self.folders: dict[str, Path] = {}
        self.refusal: Refusal | None = None
        self._state, self._store = state, store
        self._tried = 0.0
        self._kept: tuple[str, Alias] | None = None  # where the champion lies and what the store remembers of it
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
            model = version = ""
            try:
                model = self._state.served
                alias = self._store.alias(model, "champion") if model else None
                if alias is None:
                    return
                version = alias.version
                now, refused = self.current, self.refusal
                if now and (now.model, now.version) == (model, version):
                    if self._kept != (self._store.where, alias):  # the store moved, or the alias has a new note
                        if self.refusal and monotonic() - self._tried < RETRY:
                            return
                        self._tried = monotonic()
                        self._keep(model, alias, self._store.get(model, version))
                    self.refusal = None
                    return
                if (
                    refused
                    and (refused.model, refused.version) == (model, version)
                    and monotonic() - self._tried < RETRY
                ):
                    return
                self._tried = monotonic()
                folder = self._store.get(model, version)
                self._answer(Predictor(folder, model, version))
                self.refusal = None
                _log(f"version {version} of {model} answers now")
                self._keep(model, alias, folder)
            except Exception as error:  # noqa: BLE001 - whatever it is, the watcher must live to see it mended
                self._refuse(model, version, _words(error))
                if self.current is None and model:
                    self._recall(model)

    def _answer(self, predictor: Predictor) -> None:
        """The swap: a request that begins now is answered by this one."""
        same = self.current is not None and self.current.model == predictor.model
        self.folders = {**(self.folders if same else {}), predictor.version: predictor.folder}
        self.current = predictor

    def _keep(self, model: str, alias: Alias, folder: Path) -> None:
        """Have the store remember what answers, for a start while it is out of reach."""
        self._store.remember(model, alias, folder)
        self._kept = self._store.where, alias

    def _recall(self, model: str) -> None:
        """After a start while the store is out of reach: what answered last, from this machine's copy."""
        try:
            remembered = self._store.remembered(model)
            if remembered is None:
                return
            alias, folder = remembered
            self._answer(Predictor(folder, model, alias.version))
        except Exception as error:  # noqa: BLE001 - as above
            _log(f"this machine's copy of {model} cannot be served either: {_words(error)}")
            return
        _log(
            f"version {alias.version} of {model}, the champion when it was last seen, answers from this machine's copy"
        )

    def _refuse(self, model: str, version: str, why: str) -> None:
        if self.refusal and (self.refusal.model, self.refusal.version, self.refusal.why) == (model, version, why):
            return
        self.refusal = Refusal(model, version, why, datetime.now(UTC).isoformat(timespec="seconds"))
        rest = f"; version {self.current.version} goes on answering" if self.current else ""
        what = f"version {version} of {model} cannot be served" if version else f"{model}: no look at its champion"
        _log(f"{what}: {why}{rest}")

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            self.look()


def _words(error: Exception) -> str:
    """What an error says; one that nobody foresaw, with its kind: ``KeyError: 'a'``."""
    known = isinstance(error, (PantheonError, BrokenBundle, OSError))
    return str(error) if known else f"{type(error).__name__}: {error}"


def _log(text: str) -> None:
    print(f"button: {text}", file=sys.stderr, flush=True)
