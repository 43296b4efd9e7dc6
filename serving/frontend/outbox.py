"""Feedback that waits for the endpoint: one small file each, so that it survives ``kill -9`` and a power cut.

A file is removed once the endpoint has accepted its feedback. If this process dies in between, the feedback is sent
again, which changes nothing: the endpoint knows it by request and row. So each counts exactly once.
"""

import fcntl
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from .client import Away, Endpoint, Refused

MOST = 10_000  # files
RETRY_SECONDS = 1.0
OLD_SECONDS = 60.0  # of a file that nobody writes any more; the process before this one may still write others


class Full(Exception):
    """Feedback cannot be kept; the message is for people."""


class Outbox:
    """Keeps feedback and delivers it, the oldest first, in a thread.

    Args:
        folder: of its own; created if missing.
    """

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder, self.endpoint = folder, endpoint
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.waiting: dict[str, str] = {}  # file's name → the request that its feedback is about
        self._change, self._sequence = threading.Condition(), 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        for path in self.folder.glob("*.new"):
            if time.time() - path.stat().st_mtime > OLD_SECONDS:
                path.unlink(missing_ok=True)  # its writer was killed before it told anybody that this is kept
        self._look()
        self._thread.start()

    def put(self, feedback: dict[str, Any]) -> None:
        """Keep feedback; when this returns, it is on the disk.

        Raises:
            Full: it is not.
        """
        with self._change:
            if len(self.waiting) >= MOST:
                raise Full("Too much feedback is waiting to be sent. Try again later.")
            self._sequence += 1
            name = f"{time.time_ns():020d}-{self._sequence % 10_000:04d}.json"
        path = self.folder / name
        try:
            with _open(path.with_suffix(".new"), os.O_CREAT | os.O_WRONLY) as file:
                file.write(json.dumps(feedback).encode())
                file.flush()
                os.fsync(file.fileno())
            path.with_suffix(".new").rename(path)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            print(f"frontend: feedback cannot be kept: {error.strerror}", file=sys.stderr, flush=True)
            raise Full("Your feedback cannot be kept at the moment. Try again later.") from None
        with self._change:
            self.waiting.setdefault(name, str(feedback["id"]))
            self._change.notify_all()

    def delivered(self, request: str, seconds: float = 0.0) -> bool:
        """Return whether all feedback about a request has been delivered; wait for it up to ``seconds``."""
        with self._change:
            return self._change.wait_for(lambda: request not in self.waiting.values(), seconds)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self.waiting), RETRY_SECONDS)
            if self.waiting and not self.endpoint.away:
                try:
                    self.deliver()
                except Exception:  # noqa: BLE001 - such as a full disk; this thread has to go on
                    traceback.print_exc(file=sys.stderr)
                    time.sleep(RETRY_SECONDS)
            if self.endpoint.away:  # look whether it is back, for the feedback and for the banner
                time.sleep(RETRY_SECONDS)
                self.endpoint.refresh(force=True)

    def deliver(self) -> None:
        """Send what waits, until it is empty or the endpoint is away. One process at a time: two in a row would mix up
        the order, and the later feedback counts."""
        with _open(self.folder / "lock", os.O_CREAT | os.O_WRONLY) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for path in self._look():
                try:
                    self.endpoint.say(json.loads(path.read_text(encoding="utf-8")))
                except FileNotFoundError:  # another process was faster
                    pass
                except Away:
                    return
                except Refused as refused:
                    print(f"frontend: feedback was refused: {refused.message}", file=sys.stderr, flush=True)
                except (OSError, ValueError) as error:
                    print(f"frontend: {path.name} cannot be read: {error}", file=sys.stderr, flush=True)
                    path.replace(path.with_suffix(".damaged"))
                path.unlink(missing_ok=True)
                with self._change:
                    self.waiting.pop(path.name, None)
                    self._change.notify_all()

    def _look(self) -> list[Path]:
        """Return the files that wait, the oldest first; also those of a process before this one."""
        paths = sorted(self.folder.glob("*.json"))
        found = {path.name: self.waiting.get(path.name) or _request(path) for path in paths}
        with self._change:
            self.waiting = found
        return paths


def _request(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _open(path: Path, flags: int) -> BinaryIO:
    """Open a file that only this user may read."""
    return os.fdopen(os.open(path, flags, 0o600), "wb")
