"""The deployment's current model store: a long-lived process follows a move of the store without a restart.

``state/store.json`` names its location (absent: the folder ``models``). Writers hold a shared lock on
``shared/.store.lock``; a command that moves the store holds it exclusively while it writes ``store.json``, so nothing
is written to the old location afterwards.
"""

import builtins
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from pantheon import migration
from pantheon.files import lock, take_lock
from pantheon.state import SHARED, StoreLocation, read_store, store_file
from pantheon.store.base import ModelStore
from pantheon.store.folder import FolderStore
from pantheon.store.policies import StoredPolicy
from pantheon.store.records import Alias, Damaged, Metadata, Version

_Stamp = tuple[int, int, int] | None


def store_at(
    state: Path,
    where: StoreLocation | None,
    host: bool = False,
    retry_seconds: float = 20.0,
    credentials: Path | None = None,
) -> ModelStore:
    """Open the store of the deployment ``state`` at ``where`` (the content of ``store.json``; None: the folder).

    Args:
        host: for commands on this machine: use ``host_endpoint`` and the deployment's keys. Services use ``endpoint``
            and the keys in ``AWS_SHARED_CREDENTIALS_FILE``.
        retry_seconds: how long to retry if S3 does not answer.
        credentials: a file with other keys.
    """
    if where is None:
        return FolderStore(state / "models")
    from pantheon.store.s3.store import S3Store  # only loaded if models are stored in S3

    named = "" if host else os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    return S3Store(
        where.bucket,
        endpoint=where.host_endpoint if host else where.endpoint,
        region=where.region,
        credentials=credentials or (Path(named) if named else state / "secrets" / "s3" / "credentials"),
        cache=state / "models" / ".cache",
        retry_seconds=retry_seconds,
    )


class Doors:
    """The lock ``shared/.store.lock``: many writers, or one mover.

    A waiting mover blocks new writers (with a second lock, the gate), so that it does not starve. A thread that already
    holds the lock does not take it again: it would wait for the mover that waits for it.
    """

    def __init__(self, state: Path) -> None:
        self._folder, self._before = state / SHARED, state / "state"
        self._inside = threading.local()

    @contextmanager
    def writing(self) -> Iterator[None]:
        depth = getattr(self._inside, "depth", 0)
        if depth == 0:
            with lock(self._file(".store.gate"), shared=True):
                held = take_lock(self._file(".store.lock"), shared=True)
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth
            if depth == 0:
                os.close(held)

    @contextmanager
    def moving(self) -> Iterator[None]:
        with ExitStack() as held:
            for name in migration.LOCKS:  # services of an older Pantheon lock the files in ``state``
                if (self._before / name).exists():
                    held.enter_context(lock(self._before / name))
            for name in migration.LOCKS:
                held.enter_context(lock(self._file(name)))
            yield

    def _file(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / name


class CurrentStore(ModelStore):
    """The store that ``state/store.json`` names at the time of a call."""

    def __init__(self, state: Path, host: bool = False, retry_seconds: float = 20.0) -> None:
        self.state, self._host, self._retry_seconds = Path(state), host, retry_seconds
        self._file = store_file(self.state)
        self._doors = Doors(self.state)
        self._lock = threading.Lock()
        self._opened: tuple[_Stamp, ModelStore] | None = None

    @property
    def now(self) -> ModelStore:
        """The store itself; the same object until ``store.json`` changes."""
        with self._lock:
            stamp = self._stamp()
            if self._opened is None or self._opened[0] != stamp:
                self._opened = stamp, store_at(self.state, read_store(self.state), self._host, self._retry_seconds)
            return self._opened[1]

    def _stamp(self) -> _Stamp:
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    @property
    def where(self) -> str:  # type: ignore[override]  # it may change
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

    def publish(self, name: str, folder: Path, metadata: Metadata) -> str:
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

    def policy(self, name: str) -> StoredPolicy | None:
        return self.now.policy(name)

    def swap_policy(self, name: str, policy: StoredPolicy | None, expected: str | None) -> bool:
        with self._doors.writing():
            return self.now.swap_policy(name, policy, expected)

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
