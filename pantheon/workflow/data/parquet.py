"""Write Parquet files from stages: streamed, with a one-line error when the disk is full."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError

ROW_GROUP = 100_000
"""Rows of a Parquet row group. Later stages read one at a time, so it bounds their memory."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")  # Polars errors have only the text


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Convert errors of a full disk to a PantheonError that names the folder and the free space."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) in FULL or any(text in str(error) for text in FULL_TEXTS):
            free = shutil.disk_usage(folder).free / 1e6
            raise PantheonError(
                f"the disk is full: {folder} has {free:,.0f} MB left.",
                "Free some space, or use fewer rows, then run again.",
            ) from error
        raise


def sink(frame: pl.LazyFrame, part: Path) -> None:
    """Stream a lazy frame into a Parquet file."""
    # lz4 and no statistics: intermediate files are read only once or twice.
    frame.sink_parquet(part, compression="lz4", statistics=False, row_group_size=ROW_GROUP)
