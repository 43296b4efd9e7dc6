"""A full disk: objects wait until there is space again, and say so meanwhile."""

import errno
import os
import tempfile
from pathlib import Path

ERRORS = (errno.ENOSPC, errno.EDQUOT)
NEEDED_BYTES = 64 << 10
RETRY_SECONDS = 2.0  # between two looks at whether there is space


def is_full(error: BaseException) -> bool:
    """Return whether an error is that of a full disk."""
    return isinstance(error, OSError) and error.errno in ERRORS


def check(folder: Path) -> None:
    """Check that a few more files can be written.

    Raises:
        OSError: they cannot; see ``is_full``.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            written = file.write(os.urandom(NEEDED_BYTES))  # a file system may compress zeros
            if written < NEEDED_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    except OSError as error:
        error.filename = str(folder)
        raise
