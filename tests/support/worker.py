"""Run ``pantheon.worker`` as an engine does: events from standard output, everything else from standard error."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pantheon.errors import PantheonError
from pantheon.events import Reader
from tests.support import ROOT

Event = dict[str, Any]


def reported(output: str) -> list[Event]:
    """Return the events in a worker's standard output, without ``begin`` and ``end``."""
    events: list[Event] = [json.loads(line) for line in output.splitlines()]
    return [event for event in events if event["event"] not in ("begin", "end")]


@dataclass
class Answer:
    """What the caller of a worker learns.

    Attributes:
        error: None if the worker succeeded.
        events: without ``begin``, ``end`` and ``error``.
        printed: lines of standard error.
    """

    error: PantheonError | None = None
    events: list[Event] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        return str(self.error)


def work(state: Path, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL, **environment: str) -> Answer:
    """Run a verb of the worker; ``environment`` is added to its environment."""
    answer = Answer()
    reader = Reader("the workflow", answer.events.append, answer.printed.append)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pantheon.worker", *arguments],
        env={**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        stdin=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    for line in done.stdout.decode(errors="replace").splitlines():
        reader.line(line)
    for line in done.stderr.decode(errors="replace").splitlines():
        reader.text(line)
    try:
        reader.check(done.returncode)
    except PantheonError as error:
        answer.error = error
    return answer
