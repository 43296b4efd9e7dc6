"""Where a store under test may be."""

from dataclasses import dataclass
from pathlib import Path

from pantheon.store import FolderStore, ModelStore
from pantheon.store.s3 import S3Store

STORES = ("folder", "seaweedfs", "moto")
# moto's server looks and puts without a lock: its conditional puts hold for one at a time.
RACED = ("folder", "seaweedfs")


@dataclass(frozen=True)
class Place:
    """A new store, as every process can open it."""

    kind: str
    folder: Path
    bucket: str = ""
    endpoint: str = ""
    credentials: Path | None = None

    def open(self, machine: int = 0) -> ModelStore:
        """The store as it is opened on a machine: each has copies and locks of its own."""
        if self.kind == "folder":
            return FolderStore(self.folder)
        cache = self.folder / f"machine-{machine}"
        return S3Store(self.bucket, endpoint=self.endpoint, credentials=self.credentials, cache=cache)
