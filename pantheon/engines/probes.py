"""Health probes that never make the supervisor wait: a command, or an HTTP request without a process."""

import errno
import os
import re
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pantheon.engines.processes import Process, send

URL = re.compile(r"http://([^/:]+)(?::([0-9]+))?(/.*)?")


class Probe(Protocol):
    """One probe under way.

    Attributes:
        begun: when, monotonic seconds.
        process: the process to wait for, if there is one.
    """

    begun: float
    process: Process | None

    def result(self) -> tuple[bool, str] | None:
        """Whether the service is healthy, and what was seen; None as long as that is not known."""

    def waits_for(self) -> tuple[int, int] | None:
        """The descriptor and poll events that bring it forward."""

    def cancel(self) -> None:
        """End it."""


class CommandProbe:
    """Runs a command; exit status 0 is health.

    Args:
        start: starts it with its output going to the descriptor it is given.
        output: a file for what it prints.
    """

    def __init__(self, start: Callable[[int], Process], output: Path, begun: float) -> None:
        self.begun, self.output = begun, output
        self.status: int | None = None
        with output.open("wb") as file:
            self.process: Process | None = start(file.fileno())

    def reaped(self, code: int) -> None:
        self.status = code

    def result(self) -> tuple[bool, str] | None:
        if self.status is None:
            return None
        lines = self.output.read_text(errors="replace").strip().splitlines()
        said = f": {lines[-1][:200]}" if lines else ""
        return self.status == 0, f"{ended(self.status)}{said}"

    def waits_for(self) -> tuple[int, int] | None:
        return None

    def cancel(self) -> None:
        if self.process and self.status is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # its own session; not reaped yet, so the pid is still its
            except ProcessLookupError:
                send(self.process, signal.SIGKILL)


class HttpProbe:
    """Asks for a URL; a status from 200 to 399 is health."""

    process: Process | None = None

    def __init__(self, url: str, begun: float) -> None:
        self.begun = begun
        match = URL.fullmatch(url)
        if not match:
            raise ValueError(f"{url} is no http:// address")
        host, port, path = match[1], int(match[2] or 80), match[3] or "/"
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        self.sent, self.answer = False, b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.error = self.socket.connect_ex((host, port))

    def result(self) -> tuple[bool, str] | None:
        found = self.look()
        if found:
            self.socket.close()
        return found

    def look(self) -> tuple[bool, str] | None:
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
        words = line.split()
        ok = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() and 200 <= int(words[1]) < 400
        return ok, f"answered {line.decode(errors='replace')}"

    def waits_for(self) -> tuple[int, int] | None:
        if self.socket.fileno() < 0:
            return None
        return self.socket.fileno(), select.POLLIN if self.sent else select.POLLOUT

    def cancel(self) -> None:
        self.socket.close()


def ended(code: int) -> str:
    """How a process ended, in words; ``code`` is its exit status, or minus the signal that killed it."""
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
