"""Logs of objects that do not grow without limit: of a long one, the middle is removed while a process writes it.

It becomes a hole of the file, which takes no space on the disk, so that a place in the log stays the same place for
those who write it (they append), read it, or follow it.
"""

import ctypes
import os
from pathlib import Path

MIB = 1 << 20
KEPT_BEGIN, KEPT_END = 1 * MIB, 15 * MIB  # whole MiB: file systems free whole blocks
MOST_BYTES = 32 * MIB  # on the disk, before the middle is removed
PUNCH_HOLE, KEEP_SIZE = 2, 1  # linux/falloc.h


def trim(folder: Path) -> None:
    """Remove the middle of each ``*.log`` in ``folder`` that takes more than ``MOST_BYTES``.

    Raises:
        OSError: the file system cannot do that.
    """
    for path in folder.glob("*.log"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # removed meanwhile, or not a file: the processes of the object may write there
            continue
        try:
            state = os.fstat(descriptor)
            if state.st_blocks * 512 > MOST_BYTES:
                end = (state.st_size - KEPT_END) // MIB * MIB
                _remove(descriptor, KEPT_BEGIN, end - KEPT_BEGIN)
        finally:
            os.close(descriptor)


def _remove(descriptor: int, begin: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.fallocate(descriptor, PUNCH_HOLE | KEEP_SIZE, ctypes.c_int64(begin), ctypes.c_int64(size))
    if done != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read(descriptor: int, place: int, most: int) -> tuple[int, bytes]:
    """Return where the next content at or after ``place`` begins, and at most ``most`` bytes of it.

    The begin is greater than ``place`` if the middle of the log was removed there. Empty: there is nothing more.
    """
    if place >= os.fstat(descriptor).st_size:
        return place, b""
    try:
        start = os.lseek(descriptor, place, os.SEEK_DATA)
        hole = os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError:  # nothing but a hole up to the end
        return place, b""
    return start, os.pread(descriptor, min(most, hole - start), start)
