"""A model store in a folder, safe between processes on one machine.

- A version's number is taken by an exclusive ``mkdir``. Its files are written and synced, then its manifest appears by
  rename: whoever is killed on the way leaves a folder without a manifest, which does not exist for readers and which
  the next publisher removes.
- Aliases move under ``flock``; the lock is the kernel's, so it never outlives its holder.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.base import (
    ANY,
    Alias,
    ModelStore,
    Version,
    check_alias,
    check_file,
    check_name,
    check_version,
    sha256,
)

MANIFEST = "manifest.json"
_CLAIM = ".publishing"  # locked by the publisher for as long as it lives


class FolderStore(ModelStore):
    """Models under ``root`` (made when the first one is published)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def names(self) -> list[str]:
        if not self.root.is_dir():
            return []
        found = (f.name for f in self.root.iterdir() if f.is_dir() and not f.name.startswith("."))
        return sorted(
            name for name in found if self._numbers(name) or any((self.root / name / "aliases").glob("[a-z]*.json"))
        )

    def list(self, name: str) -> list[Version]:
        return [self.describe(name, str(number)) for number in self._numbers(name)]

    def describe(self, name: str, version: str) -> Version:
        path = self._folder(name, version) / MANIFEST
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return Version(raw["model"], raw["version"], raw["created"], raw["files"], raw["metadata"])
        except FileNotFoundError:
            known = ", ".join(str(number) for number in self._numbers(name)) or "none"
            raise PantheonError(
                f"there is no version {version} of model {name!r}.", f"Versions there: {known}."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise PantheonError(
                f"{path} is damaged: {error!r}.", "Run the workflow again to publish anew.", status=1
            ) from None

    def get(self, name: str, version: str) -> Path:
        folder = self._folder(name, version)
        for file, expected in self.describe(name, version).files.items():
            path = folder / check_file(file)
            if not path.is_file():
                raise PantheonError(f"{path} is missing: version {version} of {name} is damaged.", _DAMAGED, status=1)
            if path.stat().st_size != expected["size"] or sha256(path) != expected["sha256"]:
                raise PantheonError(f"{path} is not what was published: its checksum differs.", _DAMAGED, status=1)
        return folder

    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        files = sorted(f for f in Path(folder).rglob("*") if f.is_file())
        if not files:
            raise PantheonError(f"{folder} has no files to publish.", status=1)
        with self._claim(check_name(name)) as target:
            manifest: dict[str, dict[str, Any]] = {}
            for file in files:
                relative = check_file(file.relative_to(folder).as_posix())
                if relative == MANIFEST:
                    raise PantheonError(f"{file} has the name of a store's own file.", status=1)
                copy = target / relative
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                _sync(copy)
                manifest[relative] = {"sha256": sha256(copy), "size": copy.stat().st_size}
            for inner in sorted({copy for copy in target.rglob("*") if copy.is_dir()}):
                _sync(inner)
            version = Version(name, target.name, _now(), manifest, dict(metadata))
            _replace(target / MANIFEST, asdict(version))
            return target.name

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        path = self._alias(name, alias)
        try:
            return Alias(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise PantheonError(
                f"{path} is damaged: {error!r}.", "Remove it and promote a version again.", status=1
            ) from None

    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        self.describe(name, version)  # an alias never names what is not there
        path = self._alias(name, alias)
        with self._lock(name):
            now = self.alias(name, alias)
            if expected != ANY and expected != (now.version if now else None):
                return False
            if now and now.version == version:  # a note on what it names already: since and previous stay true
                new = Alias(version, now.since, by or now.by, note, now.previous)
            else:
                new = Alias(version, _now(), by, note, now.version if now else None)
            path.parent.mkdir(exist_ok=True)
            _replace(path, new.as_dict())
        return True

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        path = self._alias(name, alias)
        with self._lock(name):
            now = self.alias(name, alias)
            if now is None or now.version != expected:
                return False
            path.unlink()
            _sync(path.parent)
        return True

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        with self._lock(name, ".deploy.lock"):
            yield

    @contextmanager
    def _claim(self, name: str) -> Iterator[Path]:
        """A new version's folder, ours alone; removed when the block fails."""
        with self._lock(name):
            model = self.root / name
            self._sweep(model)
            taken = [int(f.name) for f in model.iterdir() if f.name.isdecimal()]
            target = model / str(max(taken, default=0) + 1)
            target.mkdir()
            claim = os.open(target / _CLAIM, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
            fcntl.flock(claim, fcntl.LOCK_EX)
        try:
            try:
                yield target
            except BaseException:  # Ctrl-C too: the disk may be full, so give back what was written
                shutil.rmtree(target)
                raise
            (target / _CLAIM).unlink()
            _sync(target)
            _sync(model)
        finally:
            os.close(claim)

    def _sweep(self, model: Path) -> None:
        """Remove what publishers that were killed left behind. Call under the model's lock."""
        for folder in model.iterdir():
            if not folder.name.isdecimal():
                continue
            if not (folder / _CLAIM).exists():
                if not (folder / MANIFEST).exists():
                    shutil.rmtree(folder)  # killed between mkdir and claim
                continue
            try:
                claim = os.open(folder / _CLAIM, os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # its publisher has just finished
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its publisher is alive
            else:
                if (folder / MANIFEST).exists():  # killed between manifest and the claim's removal: complete
                    (folder / _CLAIM).unlink(missing_ok=True)
                else:
                    shutil.rmtree(folder)
            finally:
                os.close(claim)

    def _numbers(self, name: str) -> Sequence[int]:
        model = self.root / check_name(name)
        if not model.is_dir():
            return []
        return sorted(int(f.name) for f in model.iterdir() if f.name.isdecimal() and (f / MANIFEST).is_file())

    def _folder(self, name: str, version: str) -> Path:
        return self.root / check_name(name) / check_version(version)

    def _alias(self, name: str, alias: str) -> Path:
        return self.root / check_name(name) / "aliases" / f"{check_alias(alias)}.json"

    @contextmanager
    def _lock(self, name: str, file: str = ".lock") -> Iterator[None]:
        model = self.root / check_name(name)
        model.mkdir(parents=True, exist_ok=True)
        lock = os.open(model / file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


_DAMAGED = "Promote another version, or run the workflow again to publish anew."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder, before we say that it is there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON so that readers see the old file or the whole new one, even after a power cut."""
    part = path.with_name(
        f".{path.name}.part"
    )  # one writer at a time: aliases under the lock, manifests under the claim
    part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _sync(part)
    part.replace(path)
    _sync(path.parent)
