"""Files that a task sends (``pantheon.file_task``): temporary files until they are complete, then under their names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pantheon import files
from pantheon.errors import PantheonError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Part:
    """A file that is being written: its temporary path, and the open file."""

    path: Path
    file: IO[bytes]

    def place(self, target: Path, overwrite: bool) -> None:
        """Give it its name; without ``overwrite``, another file that appeared meanwhile stays.

        Raises:
            PantheonError: there is another file.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if overwrite:
            self.path.replace(target)
            return
        try:
            os.link(self.path, target)
        except FileExistsError:
            raise PantheonError(f"{target} exists now.", "Choose another name, or replace it: --overwrite") from None
        except OSError:  # a file system without links
            self.path.replace(target)


@contextmanager
def new_file(target: Path) -> Iterator[Part]:
    """Yield a temporary file beside ``target``, removed after the block if it is still there."""
    path = files.part_of(target)
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "r+b") as file:
            yield Part(path, file)
    finally:
        path.unlink(missing_ok=True)


def divide(both: Part, size: int, more: int, rest: Part) -> None:
    """Move what is behind the first ``size`` bytes of a file to another one.

    Args:
        more: how many bytes are behind them.

    Raises:
        PantheonError: the file has another size.
    """
    if os.fstat(both.file.fileno()).st_size != size + more:
        raise PantheonError("the task's output did not arrive completely.", "Run the command again.", 1)
    both.file.seek(size)
    shutil.copyfileobj(both.file, rest.file, CHUNK)
    both.file.truncate(size)
    both.file.seek(0)


def refused_beside(path: Path, suffix: str = "") -> Path:
    """Return the file of the rows that are refused: ``out.refused.csv`` beside ``out.csv``."""
    return path.with_name(f"{path.stem}.refused{suffix or path.suffix}")
