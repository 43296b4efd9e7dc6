"""What the disk says, in one line: the errors of Polars and of the system while a stage reads and writes files."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")  # Polars gives the text alone


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk into a PantheonError that says how much room is left where; other errors pass."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) in FULL or any(text in str(error) for text in FULL_TEXTS):
            free = shutil.disk_usage(folder).free / 1e6
            raise PantheonError(
                f"the disk is full: {folder} has {free:,.0f} MB left.",
                "Free some room, or take fewer rows, and run again.",
            ) from error
        raise
