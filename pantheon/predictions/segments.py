"""The files of the spool: ``UUID.open`` while a process writes it, ``UUID.closed`` afterwards.

The writer holds its segment locked, and locks it before it has this name. An ``.open`` file that nobody holds is of a
killed process and counts as closed.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from pantheon.files import is_locked
from pantheon.predictions.ids import new_id

OPEN, CLOSED, PART = ".open", ".closed", ".part"
STALE_SECONDS = 60.0  # after which an empty file of a writer that was killed before it began is removed


def create(folder: Path) -> tuple[int, Path]:
    """Begin a new segment.

    Returns:
        Its descriptor, open for appending and locked, and its path.
    """
    name = new_id()
    part = folder / f".{name}{PART}"
    file = os.open(part, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, part.rename(folder / f"{name}{OPEN}")
    except BaseException:
        os.close(file)
        part.unlink(missing_ok=True)
        raise


def segments(folder: Path) -> list[Path]:
    """Return all segments, oldest first, also those that are being written."""
    found = [path for path in folder.iterdir() if path.suffix in (OPEN, CLOSED)] if folder.is_dir() else []
    return sorted(found, key=lambda path: path.stem)


def finished(folder: Path) -> list[Path]:
    """Return the segments that nobody writes any more, oldest first."""
    return [path for path in segments(folder) if path.suffix == CLOSED or not is_locked(path)]


def total_bytes(folder: Path, but: Path | None = None) -> int:
    """Return the size of all segments, without the one named ``but``."""
    total = 0
    for path in segments(folder):
        with suppress(FileNotFoundError):  # it is stored and removed
            total += path.stat().st_size if path.stem != (but.stem if but else "") else 0
    return total


def sweep(folder: Path) -> None:
    """Remove the empty files of writers that were killed before their segment had its name."""
    for path in folder.glob(f".*{PART}"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS and not is_locked(path):
                path.unlink()
