"""Run one task as a child that cannot outlive its caller: ``python -m pantheon.launcher``.

The first line of standard input is a ``Request`` as JSON. The caller keeps standard input open; its end means that the
caller has exited. Orphaned processes of the task become children of this process and are killed. SIGINT is forwarded.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NotRequired, TypedDict

from pantheon.processes import Family, Process, become_reaper, send, spawn

POLL_SECONDS = 0.01


class Request(TypedDict):
    """What to run.

    Attributes:
        command: the program and its arguments.
        environment: all its environment variables.
        folder: its working directory.
        unprivileged: run in a user namespace, if this process runs as root.
        grace: seconds from SIGTERM to SIGKILL.
        identity: the deployment's id, which identifies the task's processes.
        input: an inherited descriptor for the task's standard input; default: empty.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str
    unprivileged: bool
    grace: float
    identity: str
    input: NotRequired[int]


class Task:
    """A running task.

    Args:
        grace: seconds from the first signal to SIGKILL.
    """

    def __init__(self, process: Process, identity: str, grace: float) -> None:
        self.process, self.grace = process, grace
        self.family = Family(identity, os.getpid())
        self.code: int | None = None
        self.kill_at = float("inf")

    def terminate(self, number: int) -> None:
        """Send a signal to the task; SIGKILL follows after the grace period."""
        send(self.process, number)
        self.kill_at = min(self.kill_at, time.monotonic() + self.grace)

    def reap(self) -> bool:
        """Take the exit status of children that have ended; return whether none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                return False
            if pid == self.process.pid:
                self.code = os.waitstatus_to_exitcode(status)

    def run(self, wake: int) -> int:
        """Wait for the task and all its processes; return its exit status, 128 + N for signal N."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(0, select.POLLIN)
        while self.code is None:
            left = self.kill_at - time.monotonic()
            events = poll.poll(None if left == float("inf") else max(left, POLL_SECONDS) * 1000)
            if any(descriptor == wake for descriptor, _ in events):
                os.read(wake, 4096)
            if any(descriptor == 0 for descriptor, _ in events) and not os.read(0, 4096):
                poll.unregister(0)
                self.terminate(signal.SIGTERM)
            if time.monotonic() >= self.kill_at:
                send(self.process, signal.SIGKILL)
            self.reap()
        while not self.reap():  # orphans are children of this process
            orphans = [process for processes in self.family.scan({}).values() for process in processes]
            if not orphans:
                break
            for process in orphans:
                send(process, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        return self.code if self.code >= 0 else 128 - self.code


def receive() -> Request | None:
    """Read the request; None if the caller exited before it was complete."""
    line = b""
    while not line.endswith(b"\n"):  # buffered reads beyond the line would hide the end of the input from poll
        part = os.read(0, 65536)
        if not part:
            return None
        line += part
    request: Request = json.loads(line)
    return request


def launch(request: Request, start: Callable[[Request], Process | None] = lambda _: None) -> tuple[int, bool]:
    """Run a task to its end, in this process's main thread.

    Args:
        start: starts the task in its own way; if it returns None, its command is started.

    Returns:
        Its exit status, and whether this process was told by a signal to end.
    """
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    become_reaper()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        process = start(request)
        if process is None:
            source = request.get("input", subprocess.DEVNULL)
            process = spawn(
                request["command"], request["environment"], request["folder"], 1, 2, request["unprivileged"], source
            )
            if source >= 0:
                os.close(source)
    except OSError as error:
        print(f"cannot be started: {error.strerror}: {error.filename}", file=sys.stderr)
        return 127, False
    task = Task(process, request["identity"], request["grace"])
    told = False

    def forward(number: int, _: object) -> None:
        nonlocal told
        told = True
        task.terminate(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    return task.run(wake), told


def main() -> int:
    request = receive()
    return launch(request)[0] if request else 130


if __name__ == "__main__":
    sys.exit(main())
