"""Runs one task as a child that cannot outlive its caller: ``python -m pantheon.engines.task``.

The first line of standard input says what to run; the caller keeps it open, and its end means that the caller is gone,
however it died. Whatever the task leaves behind becomes this process's child and is killed. SIGINT is handed on.
"""

import json
import os
import select
import signal
import sys
import time

from pantheon.engines.processes import Family, Process, become_reaper, send, spawn

AT_ONCE = 0.01


class Task:
    """A task under way.

    Args:
        grace: seconds from the wish to end it until SIGKILL.
    """

    def __init__(self, process: Process, identity: str, grace: float) -> None:
        self.process, self.grace = process, grace
        self.family = Family(identity, os.getpid())
        self.code: int | None = None
        self.kill_at = float("inf")

    def ask(self, number: int) -> None:
        """Ask the task to end."""
        send(self.process, number)
        self.kill_at = min(self.kill_at, time.monotonic() + self.grace)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.process.pid:
                self.code = os.waitstatus_to_exitcode(status)

    def run(self, wake: int) -> int:
        """Wait for the task and for nothing of it to be left; its exit status, 128 + N for the signal N."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(0, select.POLLIN)
        while self.code is None:
            left = self.kill_at - time.monotonic()
            events = poll.poll(None if left == float("inf") else max(left, AT_ONCE) * 1000)
            if any(descriptor == wake for descriptor, _ in events):
                os.read(wake, 4096)
            if any(descriptor == 0 for descriptor, _ in events) and not os.read(0, 4096):
                poll.unregister(0)
                self.ask(signal.SIGTERM)
            if time.monotonic() >= self.kill_at:
                send(self.process, signal.SIGKILL)
            self.reap()
        while found := [process for processes in self.family.scan({}).values() for process in processes]:
            for process in found:
                send(process, signal.SIGKILL)
            time.sleep(AT_ONCE)
            self.reap()
        return self.code if self.code >= 0 else 128 - self.code


def main() -> int:
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    line = b""
    while not line.endswith(b"\n"):  # byte-wise reads beyond the line would hide the end of the input from poll
        part = os.read(0, 65536)
        if not part:
            return 130  # the caller was gone before it said what to run
        line += part
    asked = json.loads(line)
    become_reaper()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        process = spawn(asked["command"], asked["environment"], asked["folder"], 1, 2, asked["unprivileged"])
    except OSError as error:
        print(f"cannot be started: {error.strerror}: {error.filename}", file=sys.stderr)
        return 127
    task = Task(process, asked["identity"], asked["grace"])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: task.ask(received))
    return task.run(wake)


if __name__ == "__main__":
    sys.exit(main())
