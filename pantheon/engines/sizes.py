"""The size of folders on the disk."""

import os
from contextlib import suppress
from pathlib import Path


def of_files(folder: Path) -> dict[tuple[int, int], int]:
    """Return the bytes on the disk of every file and folder below ``folder``, by device and inode.

    Environments share files by hard links: a file that two of them have is on the disk once.
    """
    found: dict[tuple[int, int], int] = {}
    ahead = [str(folder)] if folder.is_dir() else []
    while ahead:
        with suppress(FileNotFoundError), os.scandir(ahead.pop()) as entries:  # a running service removes files
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
    return found
