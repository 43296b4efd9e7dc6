"""One run under way: ``pantheon.tasks run --run ID`` as a child that cannot outlive this service."""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.engines.probes import ended
from pantheon.engines.processes import TAG

GRACE = 6.0  # seconds that a task has to record that it was interrupted
LINE = 65536  # bytes of a line of output; a longer one is cut
SHOWN = 8  # last lines without an event, for the message of a task that ended without a word


class Child:
    """Starts the task under ``pantheon.engines.task``, which ends it when this process ends, however that happens.

    Args:
        state: the deployment's state folder.
        run: the run's id.
        log: told each line for people.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, state: Path, run: str, log: Callable[[str], None]) -> None:
        self.run, self.log = run, log
        self.error: dict[str, str] | None = None
        self.noise: deque[str] = deque(maxlen=SHOWN)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "pantheon.engines.task"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=state,
            start_new_session=True,
        )
        asked = {
            "command": [sys.executable, "-P", "-m", "pantheon.tasks", "run", "--run", run],
            "environment": dict(os.environ),
            "folder": str(state),
            "unprivileged": False,
            "grace": GRACE,
            "identity": os.environ.get(TAG, "").partition("/")[0],
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()  # and kept open: its end tells the launcher that we are gone

    def wait(self) -> dict[str, str] | None:
        """Follow it to its end; ``{"cause", "cure"}`` where it failed, None where it is done or was interrupted."""
        assert self.process.stdout and self.process.stdin
        with self.process.stdout as output:
            while line := output.readline(LINE):
                self.take(line.decode(errors="replace").rstrip())
        code = self.process.wait()
        self.process.stdin.close()
        if self.error or code in (0, 128 + signal.SIGTERM, 128 + signal.SIGINT):
            return self.error
        how = ended(128 - code if 128 < code < 160 else code)
        last = "; its last words: " + " | ".join(self.noise) if self.noise else ""
        return {"cause": f"the workflow {how}{last}", "cure": "Continue the run; the service's log has all of it."}

    def take(self, line: str) -> None:
        """One line of the task: an event, or anything else it printed."""
        try:
            event = json.loads(line)
            words = self.words(event["event"], event)
        except (ValueError, TypeError, KeyError):
            self.noise.append(line[:300])
            words = line
        self.log(f"{self.run} {words}")

    def words(self, kind: str, event: dict[str, Any]) -> str:
        if kind == "stage":
            seconds = f" in {event['seconds']:.1f} s" if "seconds" in event else ""
            error = f": {event['error']}" if "error" in event else ""
            return f"{event['stage']} {event['state']}{seconds}{error}"
        if kind == "error":
            self.error = {"cause": str(event["cause"]), "cure": str(event["cure"])}
            return f"failed: {event['cause']}"
        if kind == "outcome":
            return f"{event['decision']}: {event['reason']}"
        return kind

    def interrupt(self) -> None:
        """Ask it to end; its run can be taken up again."""
        if self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
