"""The spool of the service: what was pushed and is not in a part yet. A push is on disk before it is answered.

A segment is a text file; each line is the checksum and the JSON of one push. A line that is not complete at the end is
of a push that was never answered.
"""

import errno
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pantheon.errors import PantheonError
from pantheon.features.pushed import Pushed
from pantheon.predictions.segments import create, finished, segments, sweep, total_bytes

MOST_BYTES = 1 << 30  # of all segments
SEGMENT_BYTES = 16 << 20


class Pushes(msgspec.Struct, frozen=True):
    """The rows of one push."""

    view: str
    rows: list[Pushed]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Pushes).decode


class Spool:
    """Appends pushes. Thread-safe; one process writes to a folder.

    Args:
        folder: created if it is missing.

    Raises:
        PantheonError: the folder cannot be created.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self._most = folder, most_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        except OSError as error:
            raise self._refused(error) from None
        self._lock = threading.Lock()
        self._file, self._size, self._others = -1, 0, total_bytes(folder)

    def append(self, *pushes: Pushes) -> None:
        """Write pushes; when this returns, they survive a kill and a power cut.

        Raises:
            PantheonError: nothing was written: the spool or its disk is full, or it cannot be written.
        """
        texts = [_encode(each) for each in pushes]
        lines = b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts)
        with self._lock:
            if self._others + self._size + len(lines) > self._most:
                cause = f"the spool {self.folder} is full: pushes wait to be stored as parts."
                raise PantheonError(cause, "`bin/pantheon logs --service feast` says why they are not stored.", 1)
            try:
                if self._file < 0:
                    self._file, _ = create(self.folder)
                    self._size = 0
                if os.write(self._file, lines) < len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fdatasync(self._file)
            except OSError as error:
                self._undo()
                raise self._refused(error) from None
            self._size += len(lines)
            if self._size >= SEGMENT_BYTES:
                self._end()

    def closed(self) -> list[Path]:
        """End the segment that is being written; return all segments, oldest first."""
        with self._lock:
            self._end()
        return finished(self.folder)

    def remove(self, segment: Path) -> None:
        """Remove a segment whose rows are in parts."""
        segment.unlink(missing_ok=True)
        with self._lock:
            self._others = total_bytes(self.folder) - self._size

    @property
    def empty(self) -> bool:
        return not segments(self.folder)

    def _end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._others += self._size
            self._file, self._size = -1, 0

    def _undo(self) -> None:
        """Leave nothing behind of a push that is refused."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._end()

    def _refused(self, error: OSError) -> PantheonError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return PantheonError(
                f"the disk of {self.folder} is full.", "Free some space; then it goes on by itself.", 1
            )
        return PantheonError(f"{self.folder} cannot be written: {error.strerror}.", "Check its disk and its owner.", 1)


def read(segment: Path) -> Iterator[Pushes]:
    """Yield the pushes of a segment.

    Raises:
        PantheonError: a line is damaged. What is not complete at the end is left out.
    """
    lines = segment.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        checksum, _, text = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):
            yield _decode(text)
        elif number < len(lines) - 1:  # another one follows
            cause = f"line {number} of {segment} is damaged."
            raise PantheonError(cause, "Look at it, repair or remove this line, and restart the service.", 1)
