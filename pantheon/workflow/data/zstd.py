"""Read files that are compressed with Zstandard, with the C library that Linux systems have for their package manager.

Python has a module for it from 3.14 on (PEP 784).
"""

import ctypes
from pathlib import Path
from types import TracebackType

LIBRARY = "libzstd.so.1"
CHUNK = 1 << 17


class NoLibrary(Exception):
    """The system has no libzstd."""


class _Buffer(ctypes.Structure):
    """``ZSTD_inBuffer`` and ``ZSTD_outBuffer``."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise NoLibrary from None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return library


class ZstdFile:
    """The content of a file in the Zstandard format, as ``gzip.GzipFile`` gives that of a gzip file.

    Raises:
        NoLibrary: the system has no libzstd.
    """

    def __init__(self, path: Path, mode: str = "rb") -> None:
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()
        self._file = path.open("rb")
        self._input = _Buffer(None, 0, 0)
        self._raw = b""
        self._in_frame = False
        self._out = ctypes.create_string_buffer(CHUNK)

    def __enter__(self) -> "ZstdFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._library.ZSTD_freeDStream(self._stream)

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes, at most 128 KB; empty at the end.

        Raises:
            EOFError: the file is cut off.
            OSError: it is damaged.
        """
        while True:
            if self._input.pos == self._input.size:
                self._raw = self._file.read(CHUNK)
                data = ctypes.cast(ctypes.c_char_p(self._raw), ctypes.c_void_p)
                self._input = _Buffer(data, len(self._raw), 0)
            out = _Buffer(ctypes.cast(self._out, ctypes.c_void_p), min(size, CHUNK), 0)
            left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(out), ctypes.byref(self._input))
            if self._library.ZSTD_isError(left):
                raise OSError("not valid Zstandard data")
            if out.pos:
                self._in_frame = left != 0
                return self._out.raw[: out.pos]
            if not self._raw:
                if self._in_frame:
                    raise EOFError("the file is cut off")
                return b""
            self._in_frame = left != 0
