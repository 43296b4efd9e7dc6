"""Processes of objects, each under a launcher, which ends it and its descendants when this service ends.

A launcher is a fork of ``forks``, or of the warm Python of a pipeline run (``pipelines.interpreter``). It holds a lock
of the object's folder while it lives, so that after a restart of the service a controller begins only when the
processes from before have ended.
"""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.kubeflow import disk
from pantheon.launcher import Request
from pantheon.processes import TAG

GRACE_SECONDS = 6.0  # from SIGTERM to SIGKILL
KILLED = 137  # 128 + SIGKILL
LOCK = ".processes.lock"
SOCKET = "socket"
INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "TMPDIR", TAG)


class Starter:
    """The Python that launchers are forked from; started when it is first needed, and again if it was killed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None

    def fork(self, descriptors: Sequence[int]) -> None:
        """Fork a launcher with the connection, the log and the lock."""
        with self.lock:
            while True:
                fresh = self.control is None
                control = self.control or self._begin()
                try:
                    socket.send_fds(control, [b"."], descriptors)
                    return
                except ConnectionError:
                    if fresh:
                        raise
                    self._end()

    def _begin(self) -> socket.socket:
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command = [sys.executable, "-S", "-P", "-m", "pantheon.kubeflow.forks"]
            self.process = subprocess.Popen(command, stdin=other.fileno(), stdout=2, start_new_session=True)
        return self.control

    def _end(self) -> None:
        assert self.control and self.process
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.control = None


starter = Starter()


class Running:
    """A started process; see ``contract.Process``.

    Args:
        folder: of the object; the lock is there.
        log: its output is appended.
        grace: seconds from SIGTERM to SIGKILL.
        warm: the folder with the socket of a warm Python, which runs the command in a fork if it can.

    Raises:
        PantheonError: the launcher cannot be started.
        OSError: the disk is full.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        working: Path,
        folder: Path,
        grace: float = GRACE_SECONDS,
        warm: Path | None = None,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        request: Request = {
            "command": [str(word) for word in command],
            "environment": {**inherited, "PYTHONUNBUFFERED": "1", **environment},
            "folder": str(working),
            "unprivileged": False,
            "grace": grace,
            "identity": os.environ.get(TAG, "").partition("/")[0],
        }
        self._code: int | None = None
        self.lost = False
        self._reading = threading.Lock()
        held = files.take_lock(folder / LOCK, shared=True)
        try:
            with log.open("ab") as output:
                self._connection = connect(warm, [output.fileno(), held]) or fork([output.fileno(), held])
        except OSError as error:
            if disk.is_full(error):
                raise
            raise PantheonError(f"a process cannot be started: {error}.", "", 1) from None
        finally:
            os.close(held)
        with suppress(ConnectionError):  # it has ended; ``wait`` says how
            self._connection.sendall(json.dumps(request).encode() + b"\n")

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()  # only now: threads may still poll it

    def fileno(self) -> int:
        return self._connection.fileno()

    def wait(self, timeout: float | None = None) -> int | None:
        if self._code is None:
            waiting = select.poll()
            waiting.register(self._connection, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                return None
            with self._reading:
                if self._code is None:
                    self._read()
        return self._code

    def _read(self) -> None:
        answer = b""
        with suppress(ConnectionError):
            while not answer.endswith(b"\n") and (part := self._connection.recv(4096)):
                answer += part
        self.lost = not answer.endswith(b"\n")
        self._code = KILLED if self.lost else int(json.loads(answer)["code"])

    def stop(self) -> int:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        code = self.wait()
        assert code is not None
        return code


def fork(descriptors: Sequence[int]) -> socket.socket:
    """Return the connection of a new launcher, which gets the log and the lock."""
    connection, other = socket.socketpair()
    with other:
        starter.fork([other.fileno(), *descriptors])
    return connection


def connect(warm: Path | None, descriptors: Sequence[int]) -> socket.socket | None:
    """Return the connection of a launcher that a warm Python forks; None if there is none."""
    if warm is None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with path_of(warm) as path:
            connection.connect(path)
        socket.send_fds(connection, [b"."], descriptors)
        return connection
    except (FileNotFoundError, ConnectionError):
        connection.close()
        return None


@contextmanager
def path_of(folder: Path) -> Iterator[str]:
    """Yield a short path of the socket in ``folder``: a socket's path has at most 107 characters."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET}"
    finally:
        os.close(opened)


def in_use(folder: Path) -> bool:
    """Return whether a process of an object still runs, such as one of the service before this one."""
    return files.is_locked(folder / LOCK, shared=True)
