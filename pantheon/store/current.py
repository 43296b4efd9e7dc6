"""The deployment's model store, wherever that is now: a long-lived process follows a move without a restart.

``state/store.json`` says where (absent: the folder ``models``). Whoever writes holds ``state/.store.lock`` shared,
whoever moves the store holds it exclusively while it writes ``store.json``: nothing goes to the old place after that.
"""

import builtins
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.store.folder import FolderStore
from pantheon.store.records import Alias, Damaged, Version

_Stamp = tuple[int, int, int] | None


def location(state: Path) -> dict[str, Any] | None:
    """What ``state/store.json`` says; None where models lie in the folder.

    Raises:
        PantheonError: the file is damaged.
    """
    path = state / "state" / "store.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise PantheonError(f"{path} is damaged: {error}.", "`bin/pantheon up` writes it anew.", status=1) from None
    if not isinstance(value, dict) or value.get("kind") != "s3" or not value.get("bucket"):
        raise PantheonError(f"{path} names no store that is known here.", "`bin/pantheon up` writes it anew.", status=1)
    return value


def store_at(
    state: Path,
    where: Mapping[str, Any] | None,
    host: bool = False,
    patience: float = 20.0,
    credentials: Path | None = None,
) -> ModelStore:
    """The store of deployment ``state`` at ``where`` (as ``store.json`` says it; None: the folder).

    Args:
        host: for commands of this machine: ``host_endpoint`` and the deployment's own keys. Services take ``endpoint``
            and the keys that ``AWS_SHARED_CREDENTIALS_FILE`` names.
        patience: seconds to try again for when S3 does not answer.
        credentials: other keys than those.
    """
    if where is None:
        return FolderStore(state / "models")
    from pantheon.store.s3 import S3Store  # where models lie in a folder, nobody loads what S3 needs

    named = "" if host else os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    return S3Store(
        where["bucket"],
        endpoint=str(where.get("host_endpoint" if host else "endpoint") or ""),
        region=str(where.get("region") or "us-east-1"),
        credentials=credentials or (Path(named) if named else state / "secrets" / "s3" / "credentials"),
        cache=state / "models" / ".cache",
        patience=patience,
    )


class Doors:
    """``state/.store.lock``: many writers, or one mover.

    A mover that waits holds up new writers (a second lock, the gate), so that it comes to its turn. What a thread that
    writes already does inside takes no lock again: it would wait for the mover that waits for it.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "state"
        self._inside = threading.local()

    @contextmanager
    def writing(self) -> Iterator[None]:
        depth = getattr(self._inside, "depth", 0)
        if depth == 0:
            with self._held(".store.gate", fcntl.LOCK_SH):
                lock = self._open(".store.lock")
                fcntl.flock(lock, fcntl.LOCK_SH)
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth
            if depth == 0:
                os.close(lock)

    @contextmanager
    def moving(self) -> Iterator[None]:
        with self._held(".store.gate", fcntl.LOCK_EX), self._held(".store.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, name: str, kind: int) -> Iterator[None]:
        lock = self._open(name)
        try:
            fcntl.flock(lock, kind)
            yield
        finally:
            os.close(lock)

    def _open(self, name: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        return os.open(self._folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)


class CurrentStore(ModelStore):
    """The store that ``state/store.json`` names at this moment."""

    def __init__(self, state: Path, host: bool = False, patience: float = 20.0) -> None:
        self.state, self._host, self._patience = Path(state), host, patience
        self._file = self.state / "state" / "store.json"
        self._doors = Doors(self.state)
        self._lock = threading.Lock()
        self._known: tuple[_Stamp, ModelStore] | None = None

    @property
    def now(self) -> ModelStore:
        """The store itself; the same object until ``store.json`` changes."""
        with self._lock:
            stamp = self._stamp()
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, store_at(self.state, location(self.state), self._host, self._patience)
            return self._known[1]

    def _stamp(self) -> _Stamp:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    @property
    def where(self) -> str:  # type: ignore[override]  # the place may change
        return self.now.where

    def names(self) -> list[str]:
        return self.now.names()

    def list(self, name: str) -> list[Version]:
        return self.now.list(name)

    def damaged(self, name: str) -> dict[str, Damaged]:
        return self.now.damaged(name)

    def describe(self, name: str, version: str) -> Version:
        return self.now.describe(name, version)

    def get(self, name: str, version: str) -> Path:
        return self.now.get(name, version)

    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        with self._doors.writing():
            return self.now.publish(name, folder, metadata)

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        return self.now.alias(name, alias)

    def aliases(self, name: str) -> builtins.list[str]:
        return self.now.aliases(name)

    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        with self._doors.writing():
            return self.now.swap(name, version, alias, expected=expected, by=by, note=note)

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        with self._doors.writing():
            return self.now.drop(name, alias, expected=expected)

    def verify(self, name: str, version: str) -> builtins.list[str]:
        return self.now.verify(name, version)

    def remove(self, name: str, version: str) -> None:
        with self._doors.writing():
            self.now.remove(name, version)

    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        with self._doors.writing():
            return self.now.sweep(name, older_than)

    def take(self, version: Version, folder: Path) -> bool:
        with self._doors.writing():
            return self.now.take(version, folder)

    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        with self._doors.writing():
            self.now.take_alias(name, alias, record)

    def last(self, name: str) -> int:
        return self.now.last(name)

    def reserve(self, name: str, number: int) -> None:
        with self._doors.writing():
            self.now.reserve(name, number)

    def history(self, name: str, alias: str = "champion") -> builtins.list[Alias] | None:
        return self.now.history(name, alias)

    def at(self, name: str, moment: datetime, alias: str = "champion") -> Alias | None:
        return self.now.at(name, moment, alias)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        self.now.remember(name, record, folder)

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        return self.now.remembered(name)

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        with self._doors.writing(), self.now.serialised(name):
            yield
