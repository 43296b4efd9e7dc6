"""Events of a task: what it reports, how its caller reads them, and how the caller explains the task's end.

A task reports JSON objects, one a line, on its standard output, and nothing else is written there: the task moves
everything that code prints, such as that of extensions, to standard error (``reserve``). Two kinds of events are for
the caller's ``Reader``. ``{"event": "begin", "what", "memory", "again", "more"}`` says what the task does, how much
memory it may use, and the commands (in backquotes) that repeat it and that repeat it with more memory; all keys are
optional, and later events add to earlier ones. ``{"event": "end"}`` is the last event: without it, a task that has
reported ``begin`` did not reach its end, whatever its exit status.
"""

import fcntl
import json
import os
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from pantheon.errors import PantheonError
from pantheon.processes import ended

Event = dict[str, Any]
HIGH = 100  # the events' descriptor is not one of the first ones, which code may close or replace
LAST_LINES = 15  # of what the task printed, for the error of a task that reported none
NO_MEMORY = ("memory allocation of", "bad_alloc", "Cannot allocate memory", "out of memory")
STOPPED = tuple(sign * number for number in (signal.SIGINT, signal.SIGTERM) for sign in (-1, 1))

_lock = threading.Lock()
_channel = 1


def reserve() -> None:
    """Keep standard output for events: from now on, what this process and its children print goes to standard error."""
    global _channel
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    _channel = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, min(HIGH, most - 1))
    sys.stdout.flush()
    os.dup2(2, 1)


def reserve_for_data() -> int:
    """Keep standard output for data, and report events on standard error; return the descriptor for the data."""
    global _channel
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    data = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, min(HIGH, most - 1))
    sys.stdout.flush()
    os.dup2(2, 1)
    _channel = 2
    return data


def report(event: Event) -> None:
    """Report an event to the caller. Thread-safe.

    Raises:
        OSError: the caller has ended, or the descriptor was closed.
    """
    line = memoryview(json.dumps(event).encode() + b"\n")
    with _lock:
        while line:
            line = line[os.write(_channel, line) :]


def finish(status: int) -> NoReturn:
    """End this process now, also if code has left threads or functions to call at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the code closed it
            continue
    os._exit(status)


class Reader:
    """Reads the output of a task, and explains its end.

    Args:
        task: what to call the task in messages, such as ``the workflow``.
        on_event: called with every event except ``begin``, ``end`` and ``error``.
        on_text: called with every other line.

    Attributes:
        error: the error that the task reported.
        printed: the last lines that it printed.
    """

    def __init__(
        self, task: str, on_event: Callable[[Event], object], on_text: Callable[[str], object] = lambda line: None
    ) -> None:
        self.task, self.on_event, self.on_text = task, on_event, on_text
        self.error: PantheonError | None = None
        self.printed: deque[str] = deque(maxlen=LAST_LINES)
        self.begun: Event = {}
        self.complete = self.no_memory = False
        self.stages: dict[str, None] = {}

    def line(self, line: str) -> None:
        """Take a line of standard output."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.text(line)
            return
        if kind == "begin":
            self.begun |= event
        elif kind == "end":
            self.complete = True
        elif kind == "error":
            self.error = PantheonError(str(event["cause"]), str(event["cure"]), int(event["status"]))
        else:
            if kind == "stage":
                self.stages.pop(event["stage"], None)
                if event["state"] == "running":
                    self.stages[event["stage"]] = None
            self.on_event(event)

    def text(self, line: str) -> None:
        """Take a line of standard error."""
        self.printed.append(line.rstrip()[:500])
        self.no_memory |= any(text in line for text in NO_MEMORY)
        self.on_text(line.rstrip())

    def check(self, status: int) -> None:
        """Check that the task succeeded.

        Args:
            status: its exit status; minus N or 128 + N if signal N ended it.

        Raises:
            PantheonError: it reported an error, or ended without a result.
            KeyboardInterrupt: it was interrupted.
        """
        if self.error:
            raise self.error
        if 128 < status <= 192:
            status = 128 - status
        if status in STOPPED:
            raise KeyboardInterrupt
        if status == 0 and (self.complete or not self.begun):
            return
        raise self.explained(status)

    def explained(self, status: int) -> PantheonError:
        """Return the error of a task that ended without reporting one; ``status`` as in ``check``."""
        stages, what = " and ".join(self.stages), self.begun.get("what", "")
        during = f" during {stages}" if stages else f" while {what}" if what else ""
        again, more, memory = (self.begun.get(key, "") for key in ("again", "more", "memory"))
        then = f", then run {again}" if again else ""
        printed = [line for line in self.printed if line.strip()]
        if status < 0 and self.no_memory:
            cause = f"{self.task} ran out of memory{during}" + (f": it may use {memory}." if memory else ".")
            cure = "Use fewer rows or columns" + (f", or allow more memory: {more}" if more else ".")
            return PantheonError(cause, cure, 1)
        if status == -signal.SIGKILL:
            cause = f"{self.task} was killed{during} (SIGKILL), most likely because memory ran out."
            cure = f"Free memory or use fewer rows or columns{then}"
            return PantheonError(cause, cure + (f"; or allow more memory: {more}" if more else "."), 1)
        if status >= 0 and self.begun and not self.complete:
            cause = f"{self.task} ended{during} before it was finished: its code called os._exit({status})."
            return PantheonError(cause, f"Correct the code, for example in extensions/{then}".rstrip() + ".", 1)
        crashed = status in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE)
        if status == -signal.SIGBUS:
            cause = f"{self.task} crashed{during} (SIGBUS): a file became shorter while it was read."
            return PantheonError(cause, f"Wait until no program writes to it{then}.", 1)
        how = f"crashed{during} ({signal.Signals(-status).name})" if crashed else f"{ended(status)}{during}"
        last = f" Its last lines:\n{chr(10).join(printed)}\n" if printed else ""
        cure = "Correct what its last lines say" if printed else "Look for the cause with `logs --service workflow`"
        return PantheonError(f"{self.task} {how}.{last}", f"{cure}{then}".rstrip() + ".", 1)
