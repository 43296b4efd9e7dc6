"""Where a store under test may be."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pantheon.store import FolderStore, ModelStore
from pantheon.store.s3.store import S3Store

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
        return self._s3(machine)

    def _s3(self, machine: int = 0) -> S3Store:
        cache = self.folder / f"machine-{machine}"
        return S3Store(self.bucket, endpoint=self.endpoint, credentials=self.credentials, cache=cache)

    def write(self, path: str, text: str) -> None:
        """Write a file or an object below the models by hand; a folder, or what S3 takes for one, ends with a slash."""
        if self.kind != "folder":
            self._s3().bucket.put(f"models/{path}", text.encode())
        elif path.endswith("/"):
            (self.folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text, encoding="utf-8")

    def delete(self, path: str) -> None:
        """Delete a file or an object by hand."""
        if self.kind == "folder":
            (self.folder / path).unlink()
        else:
            self._s3().bucket.delete(f"models/{path}")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "plots").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"onnx" * 1000)
    (folder / "signature.json").write_text("{}")
    (folder / "plots" / "roc.svg").write_text("<svg/>")
    return folder
