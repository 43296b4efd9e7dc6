"""Keep the services' addresses on 127.0.0.1: ``python -S -P -m pantheon.engines.helm.keeper FILE``.

Runs `kubectl port-forward` for every service in FILE and starts it again when it ends, as when its pod is
replaced. Reads FILE again when it changes. A detached process of the machine; ``forwards`` starts and ends it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from pantheon.processes import bound_to_me

POLL_SECONDS = 0.2
LONGEST_PAUSE = 5.0  # between two attempts
STABLE_SECONDS = 10.0  # a forward that ran for so long starts again at once


class Wanted(TypedDict):
    """The file.

    Attributes:
        command: of kubectl, up to ``port-forward``.
        forwards: service → its ports, as ``HERE:THERE``.
    """

    command: list[str]
    forwards: dict[str, list[str]]


class Forward:
    """One `kubectl port-forward`."""

    def __init__(self, command: list[str], service: str, ports: list[str]) -> None:
        self.command = [*command, "--address", "127.0.0.1", f"service/{service}", *ports]
        self.process: subprocess.Popen[bytes] | None = None
        self.started, self.pause = 0.0, 0.0

    def look(self) -> None:
        """Start it if it does not run; after failures, not at once."""
        now = time.monotonic()
        if self.process and self.process.poll() is None:
            return
        if self.process:
            self.process = None
            stable = now - self.started > STABLE_SECONDS
            self.pause = 0.0 if stable else min(max(self.pause * 2, POLL_SECONDS), LONGEST_PAUSE)
        if now - self.started >= self.pause:
            self.started = now
            self.process = subprocess.Popen(
                self.command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=bound_to_me(signal.SIGKILL),
            )

    def end(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # `kubectl` may be a script that runs another program
            self.process.wait()


def main(file: Path) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    forwards: dict[str, Forward] = {}
    read = 0
    try:
        while True:
            changed = file.stat().st_mtime_ns
            if changed != read:
                wanted: Wanted = json.loads(file.read_bytes())
                read = changed
                fresh = {name: Forward(wanted["command"], name, ports) for name, ports in wanted["forwards"].items()}
                for name, forward in list(forwards.items()):
                    if name not in fresh or fresh[name].command != forward.command:
                        forwards.pop(name).end()
                forwards = fresh | forwards
                os.ftruncate(2, 0)  # the log says what is wrong now
            for forward in forwards.values():
                forward.look()
            time.sleep(POLL_SECONDS)
    except FileNotFoundError:
        return  # the deployment was deleted
    finally:
        for forward in forwards.values():
            forward.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
