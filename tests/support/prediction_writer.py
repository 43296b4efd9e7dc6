"""A process that writes to a spool as fast as it can, and the service that stores it; both can be killed."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

from tests.support import ROOT

WRITE = """
import os, sys, time
from pathlib import Path
from pantheon.predictions.spool import Spool
from tests.support.predictions import answer, answered, rows, said
spool = Spool(Path(sys.argv[1]), segment_bytes=60_000, segment_seconds=0.2, sync_seconds=0.01)
given, told, pause = rows({"a": 1}), answer(0), float(sys.argv[2])
while True:
    record = answered()
    spool.answered(record, given, told)
    spool.feedback(said(record.id, correct=False))
    os.write(1, record.id.encode() + b"\\n")  # from here on it must not be lost
    if pause:
        time.sleep(pause)
"""


class Writer:
    """A running writer; ``acknowledged`` has the ids that it wrote."""

    def __init__(self, spool: Path, pause: float = 0.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(spool), str(pause)], cwd=ROOT, stdout=subprocess.PIPE, env=environment()
        )
        self.acknowledged: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def kill(self) -> list[str]:
        """Kill it (SIGKILL) and return what it acknowledged."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.acknowledged

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.acknowledged.append(line.decode().strip())


def start_service(state: Path, spool: Path, log: Path, **settings: str) -> "subprocess.Popen[bytes]":
    """Start ``python -m pantheon.predictions``; what it says is added to the file ``log``."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "pantheon.predictions"],
            cwd=ROOT,
            stderr=file,
            env=environment(STATE_DIR=str(state), SPOOL_DIR=str(spool), **settings),
        )


def environment(**settings: str) -> dict[str, str]:
    without = {"AWS_SHARED_CREDENTIALS_FILE"}
    return (
        {name: value for name, value in os.environ.items() if name not in without}
        | {"PYTHONPATH": str(ROOT)}
        | settings
    )


def chance(least: float, most: float) -> float:
    """Return a random number of seconds."""
    return random.uniform(least, most)
