"""A model store in a folder, safe between processes on one machine.

- A version's number is taken by an exclusive ``mkdir``. Its files are written and synced, then its manifest appears by
  rename: whoever is killed on the way leaves a folder without a manifest, which does not exist for readers and which
  the next publisher removes.
- Aliases move under ``flock``; the lock is the kernel's, so it never outlives its holder.
"""

import builtins
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.store.durable import fill, sync, write_json, write_text
from pantheon.store.records import (
    ANY,
    MANIFEST,
    MEND_ALIAS,
    MEND_MANIFEST,
    Alias,
    Damaged,
    Version,
    check_alias,
    check_file,
    check_name,
    check_version,
    files_of,
    is_alias,
    is_name,
    is_version,
    moved,
    now,
    reading,
    sha256,
)

_CLAIM = ".publishing"  # locked by the publisher for as long as it lives
_LAST = ".last"  # the highest number ever given, once a version was removed


class FolderStore(ModelStore):
    """Models under ``root`` (made when the first one is published)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.where = str(self.root)

    def names(self) -> list[str]:
        if not self.root.is_dir():
            return []
        found = (f.name for f in self.root.iterdir() if f.is_dir() and is_name(f.name))
        return sorted(name for name in found if self._numbers(name) or self.aliases(name))

    def list(self, name: str) -> list[Version]:
        return [each for each in self._all(name).values() if isinstance(each, Version)]

    def damaged(self, name: str) -> dict[str, Damaged]:
        return {number: each for number, each in self._all(name).items() if isinstance(each, Damaged)}

    def _all(self, name: str) -> dict[str, Version | Damaged]:
        """Every version, oldest first, or why its manifest cannot be read."""
        found: dict[str, Version | Damaged] = {}
        for number in map(str, self._numbers(name)):
            try:
                found[number] = self.describe(name, number)
            except Damaged as error:
                found[number] = error
        return found

    def describe(self, name: str, version: str) -> Version:
        path = self._folder(name, version) / MANIFEST
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            known = ", ".join(str(number) for number in self._numbers(name)) or "none"
            raise PantheonError(
                f"there is no version {version} of model {name!r}.", f"Versions there: {known}."
            ) from None
        with reading(path, MEND_MANIFEST):
            return Version.read(json.loads(raw), name, version)

    def get(self, name: str, version: str) -> Path:
        folder = self._folder(name, version)
        for problem in self._problems(self.describe(name, version), folder):
            raise PantheonError(problem, _DAMAGED, status=1)
        return folder

    def verify(self, name: str, version: str) -> builtins.list[str]:
        folder = self._folder(name, version)
        try:
            return list(self._problems(self.describe(name, version), folder))
        except Damaged as error:
            return [error.cause]

    def _problems(self, version: Version, folder: Path) -> Iterator[str]:
        for file, expected in version.files.items():
            path = folder / check_file(file)
            if not path.is_file():
                yield f"{path} is missing: version {version.version} of {version.model} is damaged."
            elif path.stat().st_size != expected["size"] or sha256(path) != expected["sha256"]:
                yield f"{path} is not what was published: its checksum differs."

    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str:
        files = files_of(folder)
        with self._claim(check_name(name)) as target:
            manifest = fill(target, folder, files)
            version = Version(name, target.name, now(), manifest, dict(metadata))
            write_json(target / MANIFEST, asdict(version))
            return target.name

    def take(self, version: Version, folder: Path) -> bool:
        path = self._folder(version.model, version.version)
        if (path / MANIFEST).exists():
            if self.describe(version.model, version.version) != version:
                raise PantheonError(f"{path} is another version {version.version} of {version.model}.", status=1)
            return False
        with self._claim(version.model, int(version.version)) as target:
            if fill(target, folder, sorted(version.files)) != version.files:
                raise PantheonError(f"a file in {folder} is not what was published.", _DAMAGED, status=1)
            write_json(target / MANIFEST, asdict(version))
        return True

    def remove(self, name: str, version: str) -> None:
        folder = self._folder(name, version)
        with self._lock(name):
            self.describe_any(name, version)
            for alias in self.aliases(name):
                if (named := self.alias(name, alias)) and named.version == version:
                    raise PantheonError(
                        f"version {version} of {name} is its {alias}.", "Promote another version first.", status=1
                    )
            self._keep_last(name, int(version))
            (folder / MANIFEST).unlink()  # from here on it does not exist; what is left is swept by the next publisher
            sync(folder)
            shutil.rmtree(folder)

    def describe_any(self, name: str, version: str) -> None:
        """Raise where there is no such version; one with a damaged manifest is there."""
        if not (self._folder(name, version) / MANIFEST).exists():
            self.describe(name, version)

    def sweep(self, name: str, older_than: float) -> builtins.list[str]:
        if not (self.root / check_name(name)).is_dir():
            return []
        with self._lock(name):
            return self._sweep(self.root / name, older_than)

    def last(self, name: str) -> int:
        model = self.root / check_name(name)
        if not model.is_dir():
            return 0
        taken = [int(f.name) for f in model.iterdir() if is_version(f.name)]
        kept = model / _LAST
        return max([*taken, int(kept.read_text(encoding="ascii")) if kept.exists() else 0])

    def reserve(self, name: str, number: int) -> None:
        if number > self.last(name):
            with self._lock(name):
                self._keep_last(name, number)

    def _keep_last(self, name: str, number: int) -> None:
        write_text(self.root / name / _LAST, str(max(number, self.last(name))))

    def aliases(self, name: str) -> builtins.list[str]:
        found = (self.root / check_name(name) / "aliases").glob("*.json")
        return sorted(f.stem for f in found if is_alias(f.stem) and f.is_file())

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        path = self._alias(name, alias)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        with reading(path, MEND_ALIAS):
            return Alias.read(json.loads(raw))

    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        self.describe(name, version)  # an alias never names what is not there
        path = self._alias(name, alias)
        with self._lock(name):
            old = self.alias(name, alias)
            if expected != ANY and expected != (old.version if old else None):
                return False
            path.parent.mkdir(exist_ok=True)
            write_json(path, moved(old, version, by, note).as_dict())
        return True

    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        check_version(record.version)
        path = self._alias(name, alias)
        with self._lock(name):
            if self.alias(name, alias) != record:
                path.parent.mkdir(exist_ok=True)
                write_json(path, record.as_dict())

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        path = self._alias(name, alias)
        with self._lock(name):
            old = self.alias(name, alias)
            if old is None or old.version != expected:
                return False
            path.unlink()
            sync(path.parent)
        return True

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        with self._lock(name, ".deploy.lock"):
            yield

    @contextmanager
    def _claim(self, name: str, number: int = 0) -> Iterator[Path]:
        """A new version's folder (``number`` where it is given), ours alone; removed when the block fails."""
        with self._lock(name):
            model = self.root / name
            self._sweep(model)
            target = model / str(number or self.last(name) + 1)
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
            sync(target)
            sync(model)
        finally:
            os.close(claim)

    def _sweep(self, model: Path, older_than: float = 0.0) -> builtins.list[str]:
        """Remove what publishers that were killed left behind. Call under the model's lock."""
        swept = []
        for folder in model.iterdir():
            if not (is_version(folder.name) and folder.is_dir()) or time.time() - folder.stat().st_mtime < older_than:
                continue
            if not (folder / _CLAIM).exists():
                if not (folder / MANIFEST).exists():
                    shutil.rmtree(folder)  # killed between mkdir and claim, or on the way of its removal
                    swept.append(f"{folder}: never completed")
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
                    swept.append(f"{folder}: never completed")
            finally:
                os.close(claim)
        return swept

    def _numbers(self, name: str) -> Sequence[int]:
        model = self.root / check_name(name)
        if not model.is_dir():
            return []
        return sorted(int(f.name) for f in model.iterdir() if is_version(f.name) and (f / MANIFEST).is_file())

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
