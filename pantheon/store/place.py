"""Where files that are never changed are: a folder of the state, or the bucket of the models, below the same name.

The prediction log is in ``predictions/``, the parts of features are in ``features/``. A file is stored once, under a
new name, and removed.

They follow the models. To S3, the services that write them bring them (``bring``), from the folder. From S3, whoever
moves the models brings them to the folder, just before ``store.json`` names the new place, and holds off these services
meanwhile (``moving``). Killed in between, it leaves files in the folder, and the services bring them back to S3.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon import files
from pantheon.errors import PantheonError, describe
from pantheon.state import SHARED, StoreLocation, read_store

if TYPE_CHECKING:
    from pantheon.store.s3.bucket import Bucket

ROOTS = ("predictions", "features")
MANIFEST = ".json"  # the end of the names of files that say which others they replace
RETRY_SECONDS = 5.0  # the service tries again anyway
MOVE_SECONDS = 60.0  # for which an answer waits for the end of a move


@dataclass(frozen=True, slots=True)
class Stored:
    """A file: its key, such as ``robots/date=2026-11-29/NAME.parquet``, and its size in bytes."""

    key: str
    bytes: int


class Place(ABC):
    """Files by key. Every method raises PantheonError if the place cannot be reached or written.

    Attributes:
        where: the place, for people.
    """

    where: str

    @abstractmethod
    def put_new(self, key: str, content: bytes) -> bool:
        """Store a file durably unless there is one of this name; return whether it was stored."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the files whose keys begin with ``prefix``, a folder's name with a slash, or empty."""

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Return a file's content; None if it does not exist."""

    @abstractmethod
    def fetch(self, key: str, folder: Path) -> Path | None:
        """Return a file's path on this machine, for reading; if it must be copied, to ``folder``. None if missing."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a file, also what versioning keeps of it; it may be missing."""


class FolderPlace(Place):
    """A folder, on a local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.where = folder, str(folder)

    def put_new(self, key: str, content: bytes) -> bool:
        path = self.folder / key
        try:
            return files.write_once(path, content, fsync=True)
        except OSError as error:
            raise describe(error, path) from None

    def list(self, prefix: str = "") -> Iterator[Stored]:
        for parent, folders, names in os.walk(self.folder / prefix):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if name.startswith("."):  # a temporary file
                    continue
                try:
                    size = path.stat().st_size
                except FileNotFoundError:  # removed a moment ago
                    continue
                yield Stored(path.relative_to(self.folder).as_posix(), size)

    def read(self, key: str) -> bytes | None:
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise describe(error, self.folder / key) from None

    def fetch(self, key: str, folder: Path) -> Path | None:
        path = self.folder / key
        return path if path.exists() else None

    def remove(self, key: str) -> None:
        try:
            (self.folder / key).unlink(missing_ok=True)
        except OSError as error:
            raise describe(error, self.folder / key) from None


class S3Place(Place):
    """The folder ``root`` of a bucket."""

    def __init__(self, bucket: "Bucket", root: str) -> None:
        self._bucket, self._root, self.where = bucket, root, bucket.path(root)

    def put_new(self, key: str, content: bytes) -> bool:
        return self._bucket.put(f"{self._root}/{key}", content, expected=None) is not None

    def list(self, prefix: str = "") -> Iterator[Stored]:
        for found in self._bucket.list(f"{self._root}/{prefix}"):
            yield Stored(found.key.removeprefix(f"{self._root}/"), found.bytes)

    def read(self, key: str) -> bytes | None:
        found = self._bucket.get(f"{self._root}/{key}")
        return found.body if found else None

    def fetch(self, key: str, folder: Path) -> Path | None:
        target = folder / key.replace("/", "+")
        if target.exists():  # files are never changed
            return target
        part = files.part_of(target)
        try:
            if self._bucket.fetch(f"{self._root}/{key}", part) is None:
                return None
            return part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        self._bucket.purge(f"{self._root}/{key}")


def open_place(state: Path, root: str, *, host: bool = False, retry_seconds: float = RETRY_SECONDS) -> Place:
    """Return where the files ``root`` of the deployment ``state`` are: where its models are.

    Args:
        root: a folder of the state or of the bucket, such as ``predictions``.
        host: for commands on this machine, which reach S3 by another address, with the deployment's keys. Services use
            the keys in ``AWS_SHARED_CREDENTIALS_FILE``.
        retry_seconds: how long to retry if S3 does not answer.

    Raises:
        PantheonError: ``store.json`` is damaged.
    """
    where = read_store(state)
    if where is None:
        return FolderPlace(state / root)
    from pantheon.store.s3.bucket import Bucket  # only loaded if models are stored in S3

    named = "" if host else os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    keys = Path(named) if named else state / "secrets" / "s3" / "credentials"
    endpoint = where.host_endpoint if host else where.endpoint
    return S3Place(Bucket(where.bucket, endpoint, where.region, keys, retry_seconds), root)


def writing(state: Path, timeout: float | None) -> AbstractContextManager[int]:
    """Hold off moves of the files during the block.

    Raises:
        files.Busy: they are moved, for more than ``timeout`` seconds.
    """
    return files.lock(_lock(state), shared=True, timeout=timeout)


def moving(state: Path) -> AbstractContextManager[int]:
    """Hold off the services that write the files during the block; wait for what they do now."""
    return files.lock(_lock(state))


def _lock(state: Path) -> Path:
    (state / SHARED).mkdir(parents=True, exist_ok=True)
    return state / SHARED / ".files.lock"


def bring(old: Place, new: Place) -> int:
    """Move all files from one place to another; return how many. Interrupted, the next call goes on.

    Manifests go first and are removed last, so that nothing that is replaced counts again in between.
    """
    if old.where == new.where:
        return 0
    keys = sorted((stored.key for stored in old.list()), key=lambda key: (not key.endswith(MANIFEST), key))
    for key in keys:
        if (content := old.read(key)) is not None:
            new.put_new(key, content)
    for key in reversed(keys):  # data first: what is still here is explained by its manifest
        old.remove(key)
    return len(keys)


def bring_to_folder(state: Path) -> dict[str, int]:
    """Bring all files from S3 to the folder of the state; hold ``moving``. Return their number by root."""
    return {root: bring(open_place(state, root), FolderPlace(state / root)) for root in ROOTS}


class CurrentPlace(Place):
    """The place that ``store.json`` names at the time of a call. For the only process that writes ``root``.

    Args:
        state: the deployment's folder.
        root: see ``open_place``.

    Attributes:
        folder: where the files are without S3.
    """

    def __init__(self, state: Path, root: str) -> None:
        self._state, self._root, self.folder = state, root, state / root
        self._one = threading.Lock()
        self._opened: tuple[StoreLocation | None, Place] | None = None

    @property
    def where(self) -> str:  # type: ignore[override]  # it may change
        return self._open().where

    def gather(self) -> int:
        """Bring what is in the folder to S3, if the files belong there now; return how many files."""
        with self._still():
            return self._gather()

    def put_new(self, key: str, content: bytes) -> bool:
        with self._now() as place:
            return place.put_new(key, content)

    def list(self, prefix: str = "") -> Iterator[Stored]:
        with self._now() as place:
            found = [*place.list(prefix)]
        yield from found

    def read(self, key: str) -> bytes | None:
        with self._now() as place:
            return place.read(key)

    def fetch(self, key: str, folder: Path) -> Path | None:
        with self._now() as place:
            return place.fetch(key, folder)

    def remove(self, key: str) -> None:
        with self._now() as place:
            place.remove(key)

    @contextmanager
    def _now(self) -> Iterator[Place]:
        with self._still():
            self._gather()
            yield self._open()

    @contextmanager
    def _still(self) -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(writing(self._state, MOVE_SECONDS))
            except files.Busy:
                what = f"the files in {self._root}/ are being moved to another place."
                raise PantheonError(what, "Try again when `up` has ended.", 1) from None
            yield

    def _open(self) -> Place:
        with self._one:
            where = read_store(self._state)
            if self._opened is None or self._opened[0] != where:
                self._opened = where, open_place(self._state, self._root)
            return self._opened[1]

    def _gather(self) -> int:
        place = self._open()
        if isinstance(place, FolderPlace):
            return 0
        with self._one:  # of two at once, one would bring back what was removed after the other
            return bring(FolderPlace(self.folder), place)
