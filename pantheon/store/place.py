"""Where files that are never changed are: a folder of the state, or the bucket of the models, below the same name.

The prediction log is in ``predictions/``, the parts of features are in ``features/``. A file is stored once, under a
new name, and removed.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon import files
from pantheon.errors import describe
from pantheon.state import read_store

if TYPE_CHECKING:
    from pantheon.store.s3.bucket import Bucket

RETRY_SECONDS = 5.0  # the service tries again anyway


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
