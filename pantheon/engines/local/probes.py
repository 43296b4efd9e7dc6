"""Health probes that do not block the supervisor: a command, or an HTTP request without a process."""

import errno
import os
import re
import select
import signal
import socket
from collections.abc import Callable
from typing import Protocol

from pantheon.processes import Process, ended, send

TAIL_BYTES = 4096  # of a probe's output
URL = re.compile(r"http://([^/:]+)(?::([0-9]+))?(/.*)?")


class Probe(Protocol):
    """A running probe.

    Attributes:
        begun: start time, monotonic seconds.
        process: the process to wait for, if there is one.
    """

    begun: float
    process: Process | None

    def result(self) -> tuple[bool, str] | None:
        """Return whether the service is healthy, and the details; None while the probe runs."""

    def waits_for(self) -> tuple[int, int] | None:
        """Return the file descriptor and poll events that it waits for."""

    def cancel(self) -> None:
        """Stop the probe."""


class CommandProbe:
    """Runs a command; exit status 0 means healthy.

    Args:
        start: starts the command with its output redirected to the given file descriptor.
    """

    def __init__(self, start: Callable[[int], Process], begun: float) -> None:
        self.begun = begun
        self.status: int | None = None
        self.output = os.memfd_create("probe")  # in memory: a full disk must not make a service unhealthy
        try:
            self.process: Process | None = start(self.output)
        except BaseException:
            os.close(self.output)
            raise

    def reaped(self, code: int) -> None:
        self.status = code

    def result(self) -> tuple[bool, str] | None:
        if self.status is None:
            return None
        size = os.fstat(self.output).st_size
        end = os.pread(self.output, TAIL_BYTES, max(size - TAIL_BYTES, 0))
        lines = end.decode(errors="replace").strip().splitlines()
        last_line = f": {lines[-1][:200]}" if lines else ""
        return self.status == 0, f"{ended(self.status)}{last_line}"

    def waits_for(self) -> tuple[int, int] | None:
        return None

    def cancel(self) -> None:
        os.close(self.output)
        if self.process and self.status is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # has its own session; not reaped yet, so the pid is valid
            except ProcessLookupError:
                send(self.process, signal.SIGKILL)


class HttpProbe:
    """Requests a URL; a status from 200 to 399 means healthy.

    Args:
        port: connect to this port instead of the URL's.
    """

    process: Process | None = None

    def __init__(self, url: str, begun: float, port: int = 0) -> None:
        self.begun = begun
        match = URL.fullmatch(url)
        if not match:
            raise ValueError(f"{url} is not an http:// address")
        host, named, path = match[1], int(match[2] or 80), match[3] or "/"
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}:{named}\r\nConnection: close\r\n\r\n".encode()
        self.sent, self.answer = False, b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.error = self.socket.connect_ex((host, port or named))

    def result(self) -> tuple[bool, str] | None:
        result = self.poll()
        if result:
            self.socket.close()
        return result

    def poll(self) -> tuple[bool, str] | None:
        if self.error not in (0, errno.EINPROGRESS):
            return False, os.strerror(self.error).lower()
        try:
            if not self.sent:
                self.socket.sendall(self.request)
                self.sent = True
            received = self.socket.recv(4096)
        except BlockingIOError:
            return None
        except OSError as error:
            return False, (error.strerror or str(error)).lower()
        self.answer += received
        line, end, _ = self.answer.partition(b"\r\n")
        if not end:
            return None if received and len(line) < 4096 else (False, "no HTTP answer")
        parts = line.split()
        ok = len(parts) > 1 and parts[0].startswith(b"HTTP/") and parts[1].isdigit() and 200 <= int(parts[1]) < 400
        return ok, f"answered {line.decode(errors='replace')}"

    def waits_for(self) -> tuple[int, int] | None:
        if self.socket.fileno() < 0:
            return None
        return self.socket.fileno(), select.POLLIN if self.sent else select.POLLOUT

    def cancel(self) -> None:
        self.socket.close()
