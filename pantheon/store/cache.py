"""This machine's copies of versions that lie in S3: whole or absent, and verified at every use."""

import errno
import fcntl
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
from pantheon.store.durable import write_json
from pantheon.store.records import MANIFEST, Alias, Version, check_file, check_name, sha256

THREADS = 4  # files fetched at once
KEPT = 20  # copies of one model
STALE = 3600.0  # seconds after which a half-fetched copy is nobody's
_REMEMBERED = "champion.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Cache:
    """Copies under ``root/NAME/VERSION-HASH``: what a manifest says is in the name, so a folder never changes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def get(self, version: Version, manifest: bytes, fetch: Callable[[str, Path], None]) -> Path:
        """The folder with a version's files, fetched where they are not here or not whole.

        Args:
            fetch: writes one file of the version to a path, verified; called from several threads.

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
                    with suppress(FileExistsError):  # another process was faster; both copies were verified
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
        """Held by one process of this machine at a time."""
        with _writing(self.root):
            (self.root / name).mkdir(exist_ok=True)
            lock = os.open(self.root / name / file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def remember(self, name: str, record: Alias, folder: Path) -> None:
        """Keep that ``record`` is served from ``folder``."""
        with _writing(self.root):
            write_json(self.root / check_name(name) / _REMEMBERED, asdict(record) | {"folder": folder.name})

    def remembered(self, name: str) -> tuple[Alias, Path] | None:
        """What was served last and its files; None where nothing is kept, or not every byte of it."""
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
        """Remove the copies that nobody has used for longest. The one that is served is kept."""
        served = ""
        with suppress(OSError, ValueError):
            served = str(json.loads((model / _REMEMBERED).read_text(encoding="utf-8"))["folder"])
        copies = [f for f in model.iterdir() if f.is_dir() and not f.name.startswith(".") and f.name != served]
        for copy in sorted(copies, key=lambda f: f.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(copy, ignore_errors=True)
        for part in model.glob(".*.part"):  # of processes that were killed
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE:
                    shutil.rmtree(part, ignore_errors=True)


def _damaged(version: Version, folder: Path) -> Iterator[str]:
    for file, expected in version.files.items():
        path = folder / check_file(file)
        if not path.is_file() or path.stat().st_size != expected["size"] or sha256(path) != expected["sha256"]:
            yield file


@contextmanager
def _aside(model: Path) -> Iterator[Path]:
    """A new folder beside the copies, gone when the block ends."""
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
            f"the disk is full: {root} has {left:,.0f} MB left for copies of models.", "Free some room.", status=1
        ) from error
