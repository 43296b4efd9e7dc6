"""Run ``pantheon.worker run --run ID`` as a child process that cannot outlive this service."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.engines.tasks import Lines, pump
from pantheon.errors import PantheonError
from pantheon.events import Reader
from pantheon.processes import TAG
from pantheon.workflow.memory import IN_SERVICE

GRACE_SECONDS = 6.0  # for a task to record that it was interrupted


class Child:
    """Starts the task under ``pantheon.launcher``, which ends it when this process ends for any reason.

    Args:
        state: the deployment's state folder.
        run: the run's ID.
        log: called with every line to display.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, state: Path, run: str, log: Callable[[str], None]) -> None:
        self.run, self.log = run, log
        self.reader = Reader("the workflow", lambda event: self.show(self.render(event)), self.show)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "pantheon.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=state,
            start_new_session=True,
        )
        request = {
            "command": [sys.executable, "-P", "-m", "pantheon.worker", "run", "--run", run],
            "environment": {**os.environ, IN_SERVICE: "1"},
            "folder": str(state),
            "unprivileged": False,
            "grace": GRACE_SECONDS,
            "identity": os.environ.get(TAG, "").partition("/")[0],
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()  # kept open: the launcher reads end-of-file when this process ends

    def wait(self) -> dict[str, str] | None:
        """Wait until it ends; return ``{"cause", "cure"}`` if it failed, None if it is done or was interrupted."""
        assert self.process.stdout and self.process.stderr and self.process.stdin
        with self.process.stdout as output, self.process.stderr as errors:
            pump(self.process, {
                output.fileno(): Lines(lambda line: self.reader.line(line.decode(errors="replace"))),
                errors.fileno(): Lines(lambda line: self.reader.text(line.decode(errors="replace"))),
            })  # fmt: skip
        code = self.process.wait()
        self.process.stdin.close()
        try:
            self.reader.check(code)
        except KeyboardInterrupt:
            return None
        except PantheonError as error:
            self.show(f"failed: {error.cause}")
            return {"cause": error.cause, "cure": error.cure}
        return None

    def show(self, text: str) -> None:
        self.log(f"{self.run} {text}")

    def render(self, event: dict[str, Any]) -> str:
        kind = str(event["event"])
        if kind == "stage":
            seconds = f" in {event['seconds']:.1f} s" if "seconds" in event else ""
            error = f": {event['error']}" if "error" in event else ""
            return f"{event['stage']} {event['state']}{seconds}{error}"
        if kind == "outcome":
            return f"{event['decision']}: {event['reason']}"
        return kind

    def interrupt(self) -> None:
        """Send SIGTERM; the run can be continued later."""
        if self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
