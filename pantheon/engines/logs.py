"""Logs of services: files of limited size, their last lines, and following several files at once."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from pantheon import files

MAX_BYTES = 8_000_000  # one older file of about this size is kept
TAIL_BYTES = 256_000  # read from the end of the file for the last lines


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; rotate it first if it is too large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def open_or_discard(path: Path) -> IO[bytes]:
    """Like ``open_log``, but return a file that discards everything if the log cannot be opened: the disk is full."""
    try:
        return open_log(path)
    except OSError:
        return Path(os.devnull).open("wb")


def append(log: IO[bytes], line: bytes) -> None:
    """Append a line without its end; a full disk does not stop what the log is about."""
    with suppress(OSError):
        os.write(log.fileno(), line + b"\n")


def bound(path: Path) -> None:
    """Rotate a log that is too large by copying its end and truncating it, because a process has it open.

    It is truncated first: on a disk that the log has filled, there is no space for the copy before that.
    """
    if path.exists() and path.stat().st_size > MAX_BYTES:
        with path.open("rb") as file:
            file.seek(-MAX_BYTES, os.SEEK_END)
            end = file.read(MAX_BYTES)
        os.truncate(path, 0)
        files.write_bytes(path.with_suffix(".log.1"), end)


def last_lines(path: Path, count: int, begin: int = 0, end: int | None = None) -> list[str]:
    """Return the last ``count`` lines of ``path`` without line ends; an empty list if the file does not exist.

    Args:
        begin: first byte to read, if the log is still that long.
        end: read only up to this byte.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            size = size if end is None else min(size, end)
            start = max(begin if begin <= size else 0, size - TAIL_BYTES)
            file.seek(start)
            lines = file.read(size - start).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count > 0 else []


class Follower:
    """Reads the lines appended to one log, also after it was truncated or replaced."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.inode, self.rest = path, 0, 0, b""
        if path.exists():
            status = path.stat()
            self.offset, self.inode = status.st_size, status.st_ino

    def lines(self) -> list[str]:
        """Return the complete lines appended since the last call."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self.inode or status.st_size < self.offset:
                    self.offset, self.inode, self.rest = 0, status.st_ino, b""
                file.seek(self.offset)
                fresh = file.read()
        except FileNotFoundError:
            return []
        self.offset += len(fresh)
        *lines, self.rest = (self.rest + fresh).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def stream(paths: Mapping[str, Path], follow: bool, tail: int) -> Iterator[str]:
    """Yield ``NAME  | line`` for the last ``tail`` lines of every path, then for new lines if ``follow``.

    Lines written after this call count as new, even before the first one is consumed.
    """
    followers = {name: Follower(path) for name, path in paths.items()}
    return lines_of(followers, follow, tail)


def lines_of(followers: Mapping[str, Follower], follow: bool, tail: int) -> Iterator[str]:
    width = max(map(len, followers), default=0)
    for name, follower in followers.items():
        for line in last_lines(follower.path, tail, end=follower.offset):
            yield f"{name:{width}} | {line}"
    while follow:
        fresh = [f"{name:{width}} | {line}" for name, follower in followers.items() for line in follower.lines()]
        yield from fresh
        if not fresh:
            time.sleep(0.1)
