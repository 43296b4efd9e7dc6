"""Atomic file writes, JSON, checksums and file locks: the shared implementation.

Standard library only and fast to import: the supervisor, the launcher and Airflow's tasks use it too.
Temporary files are created beside the target, as ``.NAME.PID.RANDOM.part``: the name cannot be guessed, existing files
and links are never opened, and the PID identifies files of a killed process.
"""

import errno
import fcntl
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

LOCK_CHECKS = 5  # attempts, a millisecond apart, before a lock counts as held
POLL_SECONDS = 0.02  # between two attempts to take a lock with a timeout
_creating = threading.Lock()
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Busy(Exception):
    """Another process holds the lock."""


def part_of(path: Path) -> Path:
    """Return a new temporary name beside ``path``; nothing is created."""
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(8).hex()}.part")


def create(path: Path, mode: int | None = None) -> int:
    """Create a new file.

    Args:
        mode: its permissions, regardless of the umask; None: the default permissions.

    Returns:
        Its descriptor, open for writing.

    Raises:
        FileExistsError: the name exists already, even as a dangling link.
    """
    with _creating:
        descriptor = os.open(path, _NEW, 0o666 if mode is None else mode)
    if mode is not None:
        os.fchmod(descriptor, mode)
    return descriptor


def write_bytes(path: Path, content: bytes, *, mode: int | None = None, fsync: bool = False) -> None:
    """Write a file atomically: readers see either the old or the complete new content.

    Args:
        path: its folder is created if it is missing.
        mode: the file's permissions, regardless of the umask; None: the default permissions.
        fsync: sync the file to disk before returning, so that it survives a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        with os.fdopen(create(part, mode), "wb") as file:
            file.write(content)
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        _replace(part, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write() names no file
        raise
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            part.unlink()
    if fsync:
        sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file that may be missing, or an empty folder in its place."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        path.rmdir()


def _replace(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``, also if that is an empty folder, such as Docker makes for a missing file."""
    try:
        part.replace(path)
    except IsADirectoryError:
        with suppress(OSError):
            path.rmdir()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
        part.replace(path)


def write_text(path: Path, text: str, *, mode: int | None = None, fsync: bool = False) -> None:
    """Write text as UTF-8; see ``write_bytes``."""
    write_bytes(path, text.encode(), mode=mode, fsync=fsync)


def write_json(path: Path, value: Any, *, mode: int | None = None, fsync: bool = False) -> None:
    """Write a value as JSON; see ``write_bytes``. NaN is refused, since JSON does not support it."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n", mode=mode, fsync=fsync)


def write_once(path: Path, content: bytes, *, mode: int | None = None, fsync: bool = False) -> bool:
    """Write a file unless it exists; of two concurrent writers, the first one wins.

    Args:
        mode, fsync: as for ``write_bytes``.

    Returns:
        Whether this call wrote it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        with os.fdopen(create(part, mode), "wb") as file:
            file.write(content)
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    if fsync:
        sync(path.parent)
    return True


@contextmanager
def atomic(path: Path, *, mode: int | None = None, fsync: bool = False) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` if the block succeeds, and removed otherwise.

    Args:
        mode, fsync: of a file; see ``write_bytes``.

    Yields:
        An empty file beside ``path``. To write a folder, remove the file and create a folder of that name; it replaces
        an existing folder ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        os.close(create(part, mode))
        yield part
        if part.is_dir() and path.is_dir():  # rename does not replace a folder: move the old one away first
            old = part.with_name(f"{part.name.removesuffix('.part')}.old.part")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            if fsync:
                sync(part)
            part.replace(path)
    finally:
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    if fsync:
        sync(path.parent)


def hand_to_owner(path: Path) -> None:
    """If this is root, give a file to the owner of its folder: the user of services in containers."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder that is renamed to ``path`` if the block succeeds, and removed otherwise.

    An existing folder ``path`` is replaced.
    """
    with atomic(path) as part:
        part.unlink()
        part.mkdir()
        yield part


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def freeze() -> None:
    """Block threads of this process from creating files, before it removes its temporary files and exits."""
    _creating.acquire()


def remove_parts(folder: Path, pid: int | None = None) -> None:
    """Remove temporary files of the killed process ``pid`` in ``folder`` and below it; None: of any process."""
    for part in folder.rglob(f".*.{'*' if pid is None else pid}.*.part"):
        with suppress(OSError):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink()


def read_json(path: Path, cure: str = "") -> Any:
    """Read a JSON file.

    Args:
        cure: what a person can do about a damaged file, for the error.

    Raises:
        FileNotFoundError: the file does not exist.
        PantheonError: it is damaged.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a service may have put a pipe there
            raise PantheonError(f"{path} is not a regular file.", cure, status=1)
        content = file.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        what = "it is empty" if not content.strip(b"\0 \n") else str(error)
        raise PantheonError(f"{path} is damaged: {what}.", cure, status=1) from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_lock(path: Path, shared: bool = False, timeout: float | None = None, make: bool = True) -> int:
    """Take the lock ``path`` (flock); it is held while the descriptor is open.

    The kernel frees it when its holders die, so a kill leaves no stale lock. The file is not removed: otherwise two
    processes could hold two locks of the same name.

    Args:
        path: created if it is missing, but not its folder.
        shared: take a shared lock; else an exclusive one.
        timeout: seconds to wait; 0: do not wait; None: no limit.
        make: whether the file may be created.

    Returns:
        The descriptor: closing it frees the lock; a child that inherits it (``pass_fds``) holds the lock too.

    Raises:
        Busy: another process still holds it after ``timeout`` seconds.
        FileNotFoundError: the file does not exist (with ``make``: its folder does not exist).
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a service may have put a link or a pipe there
    try:
        descriptor = os.open(path, flags | os.O_RDWR | (os.O_CREAT if make else 0), 0o644)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        descriptor = os.open(path, flags | os.O_RDONLY)  # mounted read-only: an existing file can be locked too
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        if timeout is None:
            fcntl.flock(descriptor, kind)
            return descriptor
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise Busy(f"another process holds {path}") from None
            time.sleep(POLL_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise


@contextmanager
def lock(path: Path, shared: bool = False, timeout: float | None = None) -> Iterator[int]:
    """Hold the lock ``path`` during the block; see ``take_lock``.

    Yields:
        Its descriptor.
    """
    descriptor = take_lock(path, shared, timeout)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(path: Path, shared: bool = False) -> bool:
    """Whether a process holds the lock ``path`` exclusively; with ``shared``: exclusively or shared.

    The check itself takes the lock for a moment, so it is repeated before it returns True: another process may be
    checking at the same time.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        for _ in range(LOCK_CHECKS):
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_EX if shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.001)
            else:
                return False
        return True
    finally:
        os.close(descriptor)


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in ``parent``, removed after the block; first remove those that killed processes left.

    Args:
        prefix: of the folder's name, such as ``.publish-``; only for folders of this function.
    """
    remove_scratch(parent, prefix)
    target = parent / f"{prefix}{os.urandom(8).hex()}"
    folder = part_of(target)
    folder.mkdir(mode=0o700)
    held = -1
    try:
        (folder / "files").mkdir()
        held = take_lock(folder / "lock")
        folder = folder.rename(
            target
        )  # only now: a folder of this name without a held lock is left from a killed process
        yield folder / "files"
    finally:
        shutil.rmtree(folder)
        if held >= 0:
            os.close(held)


def remove_scratch(parent: Path, prefix: str) -> list[Path]:
    """Remove folders of ``scratch`` whose process has ended, and return them."""
    removed = []
    for folder in filter(Path.is_dir, parent.glob(f"{prefix}*")):
        try:
            os.close(take_lock(folder / "lock", timeout=0, make=False))
        except Busy:
            continue
        except FileNotFoundError:
            pass  # of an earlier version, or killed while it removed the folder
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    return removed
