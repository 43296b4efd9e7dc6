"""The spool: where the endpoint writes each record, with one ``write``, before the answer goes out.

A kill loses nothing that was written; a power cut at most what was written since the last ``fdatasync``, which a thread
does every ``sync_seconds`` while there is something to sync. ``segments`` describes the files.
"""

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import sync
from pantheon.predictions import frames
from pantheon.predictions.records import Answered, Feedback
from pantheon.predictions.segments import CLOSED, create, finished, segments, sweep, total_bytes

__all__ = ["NotLogged", "Spool", "SpoolFull", "finished", "segments"]

COUNT_SECONDS = 1.0  # between counts of the bytes in other segments, which another process stores and removes
IDLE_SECONDS = 60.0  # between looks at a spool to which nothing is written
MEBIBYTE = 1 << 20


class NotLogged(PantheonError):
    """A record was not written; nothing of it remains in the spool."""


class SpoolFull(NotLogged):
    """A record was not written: the spool has its largest size, or its disk is full."""


class Spool:
    """One process's way to write to the spool. Thread-safe; not for use in a fork.

    Args:
        folder: of all segments, also those of other processes; created if it is missing.
        most_bytes: of all segments together.
        segment_bytes, segment_seconds: after which a segment is closed.
        sync_seconds: between two times that written records are synced to disk.

    Raises:
        PantheonError: the folder cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = 1 << 30,
        segment_bytes: int = 16 << 20,
        segment_seconds: float = 10.0,
        sync_seconds: float = 0.05,
    ) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._segment_bytes, self._segment_seconds, self._sync_seconds = segment_bytes, segment_seconds, sync_seconds
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        except OSError as error:
            raise PantheonError(
                f"the spool {folder} cannot be used: {error.strerror}.", "Check its owner.", 1
            ) from None
        self._lock = threading.Lock()
        self._file, self._path, self._size, self._began = -1, folder, 0, 0.0
        self._full: list[tuple[int, Path]] = []  # segments to close
        self._others, self._counted = total_bytes(folder), 0.0
        self._failed = ""  # why the last sync failed
        self._work, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="spool", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The bytes of all segments; those of other processes as they were counted within the last second."""
        return self._others + self._size

    def answered(self, record: Answered, rows: bytes, answer: bytes) -> None:
        """Write an answer; when this returns, it is in the log, even if the process is killed.

        Args:
            rows: the request's rows, a JSON array.
            answer: ``{"prediction": […], "probabilities": […]}``, the probabilities only if there are some; empty for a
                request that was refused.

        Raises:
            SpoolFull, NotLogged: it was not written.
        """
        self._write(frames.of_answer(record, rows, answer))

    def feedback(self, record: Feedback) -> None:
        """Write what a user said; raises as ``answered``."""
        self._write(frames.of_feedback(record))

    def close(self) -> None:
        """Sync and close the segment; nothing can be written afterwards."""
        self._end.set()
        self._work.set()
        self._thread.join()

    def _write(self, frame: bytes) -> None:
        with self._lock:
            if not self._work.is_set():
                self._work.set()
            size = len(frame)
            if self._others + self._size + size > self.most_bytes:
                raise self._too_large()
            if self._file < 0:
                self._begin()
            try:
                written = os.write(self._file, frame)
                if written == size and self._failed:
                    os.fdatasync(self._file)  # until this works again, nothing counts as written
                    self._failed = ""
            except OSError as error:
                self._undo()
                raise self._refused(error) from None
            if written < size:
                self._undo()
                raise self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            self._size += written
            if self._size >= self._segment_bytes:
                self._rotate()

    def _undo(self) -> None:
        """Leave no half frame behind. If even that fails, the segment ends here; readers ignore its last frame."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._rotate()

    def _begin(self) -> None:
        if self._end.is_set():
            raise NotLogged(f"the spool {self.folder} is closed.", "", 1)
        try:
            self._file, self._path = create(self.folder)
        except OSError as error:
            raise self._refused(error) from None
        self._size, self._began = 0, time.monotonic()

    def _rotate(self) -> None:
        """Give the segment to the thread, which syncs and closes it: writers do not wait for the disk."""
        self._full.append((self._file, self._path))
        self._others += self._size
        self._file, self._size = -1, 0

    def _watch(self) -> None:
        while not self._end.is_set():
            self._work.wait(min(self._segment_seconds, IDLE_SECONDS) if self._size else IDLE_SECONDS)
            self._end.wait(self._sync_seconds)
            self._work.clear()
            self._tick(time.monotonic())
        with self._lock:
            if self._file >= 0:
                self._rotate()
        self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        with self._lock:
            if self._file >= 0 and now - self._began >= self._segment_seconds:
                self._rotate()
            full, self._full = self._full, []
            file = self._file
        for descriptor, segment in full:  # only this thread closes files, so that `file` stays valid, too
            self._close(descriptor, segment)
        if file >= 0:
            self._sync(file)
        if now - self._counted >= COUNT_SECONDS:
            self._count(now)

    def _count(self, now: float) -> None:
        with self._lock:
            own, self._counted = self._own, now
        total = total_bytes(self.folder, own)  # may take a while: writers do not wait for it
        with self._lock:
            if own == self._own:
                self._others = total
            else:  # another segment began or ended meanwhile: count at the next occasion
                self._counted = 0.0

    @property
    def _own(self) -> Path | None:
        """The segment that is being written."""
        return self._path if self._file >= 0 else None

    def _close(self, file: int, path: Path) -> None:
        self._sync(file)
        try:
            if os.fstat(file).st_size:
                path.rename(path.with_suffix(CLOSED))
            else:
                path.unlink(missing_ok=True)
            sync(self.folder)
        except OSError as error:
            self._failed = error.strerror or str(error)  # it stays `.open`, and counts as closed once it is unlocked
        finally:
            os.close(file)

    def _sync(self, file: int) -> None:
        try:
            os.fdatasync(file)
        except OSError as error:
            # What was not synced may be lost in a power cut; the system does not try again. Later records are written
            # only once a sync works again.
            self._failed = error.strerror or str(error)
            with self._lock, suppress(ValueError):
                if file == self._file:
                    self._rotate()

    def _too_large(self) -> SpoolFull:
        size, most = self.size / MEBIBYTE, self.most_bytes / MEBIBYTE
        return SpoolFull(
            f"the spool {self.folder} is full: {size:,.1f} MiB of {most:,.1f} MiB wait to be stored.",
            "`bin/pantheon logs --service predictions` says why they are not stored.",
            1,
        )

    def _refused(self, error: OSError) -> NotLogged:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return SpoolFull(
                f"the spool {self.folder} cannot be written: its disk is full.",
                "Free some space; then it goes on by itself.",
                1,
            )
        return NotLogged(
            f"the spool {self.folder} cannot be written: {error.strerror}.", "Check its disk and its owner.", 1
        )
