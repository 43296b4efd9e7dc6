"""Keep the memory of this process small: settings of glibc, without effect with other C libraries."""

import contextlib
import ctypes
import sys

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h
MAPPED_BYTES = 512 * 1024  # from this size, memory goes back to the system when it is freed
MOST_DIGITS = 640  # of an integer: the least that Python allows to set


def limit() -> None:
    """Limit what this process keeps for later: by default, every thread has a heap that no other thread can use, and
    freed buffers of megabytes stay in it. Reject long integers in JSON: Python takes quadratic time to convert them."""
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 2)
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
    sys.set_int_max_str_digits(MOST_DIGITS)


def give_back() -> None:
    """Give freed memory back to the system. Takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
