"""Logs of services: bounded files, their last lines, and following several at once."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

LARGEST = 8_000_000  # bytes; one older file of about this size is kept beside
WINDOW = 256_000  # bytes from the end that are looked at for last lines


def open_log(path: Path) -> IO[bytes]:
    """The log, to append to; a large one is set aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def bound(path: Path) -> None:
    """Set a large log aside while a process writes to it: copied and emptied, since the process keeps the file open."""
    if path.exists() and path.stat().st_size > LARGEST:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def last_lines(path: Path, count: int, begin: int = 0, end: int | None = None) -> list[str]:
    """The last ``count`` lines of ``path``, without line ends; none where there is no file.

    Args:
        begin: look only after this byte, where the log is still that long.
        end: look only before this byte.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            size = size if end is None else min(size, end)
            start = max(begin if begin <= size else 0, size - WINDOW)
            file.seek(start)
            lines = file.read(size - start).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count > 0 else []


class Follower:
    """Reads what is appended to one log, through being emptied or replaced."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.inode, self.rest = path, 0, 0, b""
        if path.exists():
            found = path.stat()
            self.offset, self.inode = found.st_size, found.st_ino

    def lines(self) -> list[str]:
        """The whole lines appended since the last call."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self.inode or found.st_size < self.offset:
                    self.offset, self.inode, self.rest = 0, found.st_ino, b""
                file.seek(self.offset)
                fresh = file.read()
        except FileNotFoundError:
            return []
        self.offset += len(fresh)
        *whole, self.rest = (self.rest + fresh).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def stream(paths: Mapping[str, Path], follow: bool, tail: int) -> Iterator[str]:
    """``NAME  | line`` for the last ``tail`` lines of each of ``paths``, then, to ``follow``, for every new one.

    What is written after this call counts as new, even before the first line is asked for.
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
