"""This machine's cache of versions in S3: complete or absent, and verified at every use."""

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256 as hash_of
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import sha256, take_lock, write_json
from pantheon.store.records import MANIFEST, Alias, Version, check_file, check_name

THREADS = 4  # files fetched at once
MAX_COPIES = 20  # cached versions per model
STALE_SECONDS = 3600.0  # an incomplete copy of this age is from a killed process
_REMEMBERED = "champion.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Cache:
    """Copies in ``root/NAME/VERSION-HASH``: the name contains a hash of the manifest, so a folder never changes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def get(self, version: Version, manifest: bytes, fetch: Callable[[str, Path], None]) -> Path:
        """Return the folder with a version's files; fetch missing and damaged ones.

        Args:
            fetch: writes one file of the version to a path and verifies it; called from several threads.

        Raises:
            PantheonError: the disk is full, or what ``fetch`` raises.
        """
        model = self.root / check_name(version.model)
        target = model / f"{version.version}-{hash_of(manifest).hexdigest()[:12]}"
        with _writing(self.root):
            if not target.is_dir():
                with _aside(model) as part:
                    for file in version.files:
                        (part / check_file(file)).parent.mkdir(parents=True, exist_ok=True)
                    with ThreadPoolExecutor(THREADS) as pool:
                        list(pool.map(lambda file: fetch(file, part / file), version.files))
                    (part / MANIFEST).write_bytes(manifest)
                    with suppress(FileExistsError):  # another process fetched it first; both copies are verified
                        _rename(part, target)
                self._prune(model)
            for file in _damaged(version, target):
                with _aside(model) as part:
                    fetch(file, part / "file")
                    (target / file).parent.mkdir(parents=True, exist_ok=True)
                    (part / "file").replace(target / file)
            if not (target / MANIFEST).is_file() or (target / MANIFEST).read_bytes() != manifest:
                with _aside(model) as part:
                    (part / "file").write_bytes(manifest)
                    (part / "file").replace(target / MANIFEST)
        with suppress(OSError):
            os.utime(target)  # its last use, for _prune
        return target

    @contextmanager
    def lock(self, name: str, file: str) -> Iterator[None]:
        """Hold a lock among the processes of this machine."""
        with _writing(self.root):
            (self.root / name).mkdir(exist_ok=True)
            held = take_lock(self.root / name / file)
        try:
            yield
        finally:
            os.close(held)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        """Record that ``record`` is served from ``folder``."""
        with _writing(self.root):
            write_json(self.root / check_name(name) / _REMEMBERED, asdict(record) | {"folder": folder.name}, fsync=True)

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        """Return what was served last and its files; None if nothing was recorded, or a file is damaged."""
        model = self.root / check_name(name)
        try:
            raw = json.loads((model / _REMEMBERED).read_text(encoding="utf-8"))
            folder = model / check_file(raw.pop("folder"))
            record = Alias.read(raw)
            version = Version.read(json.loads((folder / MANIFEST).read_bytes()), name, record.version)
            if any(_damaged(version, folder)):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record, folder

    def _prune(self, model: Path) -> None:
        """Remove the least recently used copies. The served one is kept."""
        served = ""
        with suppress(OSError, ValueError):
            served = str(json.loads((model / _REMEMBERED).read_text(encoding="utf-8"))["folder"])
        copies = [f for f in model.iterdir() if f.is_dir() and not f.name.startswith(".") and f.name != served]
        for copy in sorted(copies, key=lambda f: f.stat().st_mtime, reverse=True)[MAX_COPIES:]:
            shutil.rmtree(copy, ignore_errors=True)
        for part in model.glob(".*.part"):  # of processes that were killed
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(part, ignore_errors=True)


def _damaged(version: Version, folder: Path) -> Iterator[str]:
    for file, expected in version.files.items():
        path = folder / check_file(file)
        if not path.is_file() or path.stat().st_size != expected["size"] or sha256(path) != expected["sha256"]:
            yield file


@contextmanager
def _aside(model: Path) -> Iterator[Path]:
    """Yield a new folder beside the copies; remove it when the block ends."""
    part = model / f".{os.getpid()}.{secrets.token_hex(4)}.part"
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _rename(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError from None
        raise


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        left = shutil.disk_usage(root).free / 1e6
        raise PantheonError(
            f"the disk is full: {root} has {left:,.0f} MB left for copies of models.", "Free some space.", status=1
        ) from error
