"""A model store in a folder, safe between processes on one machine.

- A version's number is reserved by an exclusive ``mkdir``. Its files are written and synced, then its manifest is added
  by rename: a killed publisher leaves a folder without a manifest, which readers ignore and the next publisher removes.
- Aliases are moved under ``flock``, which the kernel frees when its holder dies.
"""

import builtins
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import Busy, lock, sha256, sync, take_lock, write_json, write_text
from pantheon.store.base import ModelStore
from pantheon.store.policies import FolderPolicies, StoredPolicy, must_be_unnamed
from pantheon.store.records import (
    ANY,
    MANIFEST,
    MEND_ALIAS,
    MEND_MANIFEST,
    Alias,
    Damaged,
    Metadata,
    StoredFile,
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
)

_CLAIM = ".publishing"  # locked by the publisher while it runs
_LAST = ".last"  # the highest number ever used, once a version was removed


class FolderStore(ModelStore):
    """Models under ``root``, which is created when the first one is published."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.where = str(self.root)
        self._policies = FolderPolicies(self.root)

    def names(self) -> list[str]:
        if not self.root.is_dir():
            return []
        names = (f.name for f in self.root.iterdir() if f.is_dir() and is_name(f.name))
        return sorted(name for name in names if self._numbers(name) or self.aliases(name))

    def list(self, name: str) -> list[Version]:
        return [version for version in self._all(name).values() if isinstance(version, Version)]

    def damaged(self, name: str) -> dict[str, Damaged]:
        return {number: error for number, error in self._all(name).items() if isinstance(error, Damaged)}

    def _all(self, name: str) -> dict[str, Version | Damaged]:
        """Return every version, oldest first, or the error if its manifest is damaged."""
        versions: dict[str, Version | Damaged] = {}
        for number in map(str, self._numbers(name)):
            try:
                versions[number] = self.describe(name, number)
            except Damaged as error:
                versions[number] = error
        return versions

    def describe(self, name: str, version: str) -> Version:
        path = self._folder(name, version) / MANIFEST
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            existing = ", ".join(str(number) for number in self._numbers(name)) or "none"
            raise PantheonError(
                f"there is no version {version} of model {name!r}.", f"Existing versions: {existing}."
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
                yield f"{path} differs from the published file: its checksum does not match."

    def publish(self, name: str, folder: Path, metadata: Metadata) -> str:
        files = files_of(folder)
        with self._claim(check_name(name)) as target:
            manifest = fill(target, folder, files)
            version = Version(name, target.name, now(), manifest, dict(metadata))
            write_json(target / MANIFEST, version.as_manifest(), fsync=True)
            return target.name

    def take(self, version: Version, folder: Path) -> bool:
        path = self._folder(version.model, version.version)
        if (path / MANIFEST).exists():
            if self.describe(version.model, version.version) != version:
                raise PantheonError(f"{path} is another version {version.version} of {version.model}.", status=1)
            return False
        with self._claim(version.model, int(version.version)) as target:
            if fill(target, folder, sorted(version.files)) != version.files:
                raise PantheonError(f"a file in {folder} differs from the published one.", _DAMAGED, status=1)
            write_json(target / MANIFEST, version.as_manifest(), fsync=True)
        return True

    def remove(self, name: str, version: str) -> None:
        folder = self._folder(name, version)
        with self._lock(name):
            self.describe_any(name, version)
            named = {alias: record for alias in self.aliases(name) if (record := self.alias(name, alias))}
            must_be_unnamed(name, version, named, self.policy(name))
            self._keep_last(name, int(version))
            (folder / MANIFEST).unlink()  # readers ignore it from here on; the next publisher sweeps the rest
            sync(folder)
            shutil.rmtree(folder)

    def describe_any(self, name: str, version: str) -> None:
        """Raise PantheonError if there is no such version; a damaged manifest is accepted."""
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
        write_text(self.root / name / _LAST, str(max(number, self.last(name))), fsync=True)

    def aliases(self, name: str) -> builtins.list[str]:
        files = (self.root / check_name(name) / "aliases").glob("*.json")
        return sorted(f.stem for f in files if is_alias(f.stem) and f.is_file())

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        path = self._alias(name, alias)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        with reading(path, MEND_ALIAS):
            return Alias.read(json.loads(raw))

    def swap(self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = "") -> bool:
        self.describe(name, version)  # an alias must name an existing version
        path = self._alias(name, alias)
        with self._lock(name):
            old = self.alias(name, alias)
            if expected != ANY and expected != (old.version if old else None):
                return False
            path.parent.mkdir(exist_ok=True)
            write_json(path, moved(old, version, by, note).as_dict(), fsync=True)
        return True

    def take_alias(self, name: str, alias: str, record: Alias) -> None:
        check_version(record.version)
        path = self._alias(name, alias)
        with self._lock(name):
            if self.alias(name, alias) != record:
                path.parent.mkdir(exist_ok=True)
                write_json(path, record.as_dict(), fsync=True)

    def drop(self, name: str, alias: str, *, expected: str) -> bool:
        path = self._alias(name, alias)
        with self._lock(name):
            old = self.alias(name, alias)
            if old is None or old.version != expected:
                return False
            path.unlink()
            sync(path.parent)
        return True

    def policy(self, name: str) -> StoredPolicy | None:
        return self._policies.get(name)

    def swap_policy(self, name: str, policy: StoredPolicy | None, expected: str | None) -> bool:
        return self._policies.swap(name, policy, expected)

    @contextmanager
    def serialised(self, name: str) -> Iterator[None]:
        with self._lock(name, ".deploy.lock"):
            yield

    @contextmanager
    def _claim(self, name: str, number: int = 0) -> Iterator[Path]:
        """Create and lock the folder of a new version (``number``, or the next one); remove it if the block fails."""
        with self._lock(name):
            model = self.root / name
            self._sweep(model)
            target = model / str(number or self.last(name) + 1)
            target.mkdir()
            claim = take_lock(target / _CLAIM)
        try:
            try:
                yield target
            except BaseException:  # Ctrl-C too: the disk may be full, so remove what was written
                shutil.rmtree(target)
                raise
            (target / _CLAIM).unlink()
            sync(target)
            sync(model)
        finally:
            os.close(claim)

    def _sweep(self, model: Path, older_than: float = 0.0) -> builtins.list[str]:
        """Remove incomplete versions of killed publishers. Call it with the model locked."""
        swept = []
        for folder in model.iterdir():
            if not (is_version(folder.name) and folder.is_dir()) or time.time() - folder.stat().st_mtime < older_than:
                continue
            if not (folder / _CLAIM).exists():
                if not (folder / MANIFEST).exists():
                    shutil.rmtree(folder)  # killed between mkdir and claim, or during its removal
                    swept.append(f"{folder}: incomplete, removed")
                continue
            try:
                claim = take_lock(folder / _CLAIM, timeout=0, make=False)
            except FileNotFoundError:
                continue  # its publisher has just finished
            except Busy:
                continue  # its publisher is running
            try:
                if (folder / MANIFEST).exists():  # killed between manifest and the claim's removal: complete
                    (folder / _CLAIM).unlink(missing_ok=True)
                else:
                    shutil.rmtree(folder)
                    swept.append(f"{folder}: incomplete, removed")
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
        with lock(model / file):
            yield


_DAMAGED = "Promote another version, or run the workflow again to publish a new one."


def fill(target: Path, folder: Path, files: Sequence[str]) -> dict[str, StoredFile]:
    """Copy ``files`` into a version's folder and sync them to disk; return the checksums of the copies."""
    manifest: dict[str, StoredFile] = {}
    for file in files:
        copy = target / check_file(file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, copy)
        sync(copy)
        manifest[file] = {"sha256": sha256(copy), "size": copy.stat().st_size}
    for inner in sorted({copy for copy in target.rglob("*") if copy.is_dir()}):
        sync(inner)
    return manifest
