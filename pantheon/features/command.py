"""``POST /command``: run Feast's command for a terminal in another container, such as JupyterLab's.

The answer is JSON lines, as they come: ``{"out": text}``, ``{"err": text}``, and at the end ``{"status": number}``.
"""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import msgspec

from pantheon.features.api import Answer, Problem, Request
from pantheon.features.service import Service
from pantheon.processes import bound_to_me

MOST = 2  # at once: each takes 250 MB
STOP_SECONDS = 5.0
running = threading.BoundedSemaphore(MOST)


class Asked(msgspec.Struct):
    """The body of a request: arguments of ``feast``."""

    arguments: list[str]


def command(service: Service, request: Request) -> Answer:
    """Run ``feast`` with the arguments of the body, in the deployment's repository."""
    arguments = request.json(Asked).arguments
    if any("\0" in argument for argument in arguments):
        raise Problem(400, "An argument contains a zero byte.", "Leave it out.")
    return Answer(lines=Output(arguments), content_type="application/x-ndjson")


class Output:
    """The answer's lines, as an iterator. ``close``, from any thread, ends the command."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.lines: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self.child: subprocess.Popen[str] | None = None
        self.streams, self.closed = 2, False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.child is None and not self.closed:
            self.start()
        while self.streams and not self.closed:
            if line := self.lines.get():
                return msgspec.json.encode({line[0]: line[1]}) + b"\n"
            self.streams -= 1
        if self.closed or self.child is None:
            raise StopIteration
        self.closed = True
        return msgspec.json.encode({"status": self.child.wait()}) + b"\n"

    def start(self) -> None:
        running.acquire()
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pantheon.features.launch", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=bound_to_me(),
        )
        for stream, name in ((self.child.stdout, "out"), (self.child.stderr, "err")):
            threading.Thread(target=self.read, args=(stream, name), daemon=True).start()

    def read(self, stream: IO[str], name: str) -> None:
        with stream:
            for line in stream:
                self.lines.put((name, line))
        self.lines.put(None)

    def close(self) -> None:
        self.closed = True
        if self.child is None:
            return
        self.child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(STOP_SECONDS)
        self.child.kill()
        self.child.wait()
        running.release()
