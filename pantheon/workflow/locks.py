"""Who may work in a run's folder: one process for the whole run, or several for single stages of it.

A whole run holds the run exclusively. A single stage holds the run shared and itself exclusively, so that two notebooks
or two tasks work on two stages of one run side by side, and no stage is run twice at once. The locks are the kernel's:
whoever dies holds none.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.workflow.run import Run

PATIENCE = 2.0  # seconds: `is_held` takes the lock for an instant, and a killed task's process may be ending still
LOOK = 0.02


@contextmanager
def exclusive(run: Run) -> Iterator[None]:
    """Hold the whole run.

    Raises:
        PantheonError: another process works in it.
    """
    with _held(run.folder / ".lock", fcntl.LOCK_EX, f"run {run.id}"):
        yield


@contextmanager
def single(run: Run, stage: str) -> Iterator[None]:
    """Hold one stage of the run.

    Raises:
        PantheonError: another process works on this stage, or on the whole run.
    """
    with (
        _held(run.folder / ".lock", fcntl.LOCK_SH, f"run {run.id}"),
        _held(run.folder / f".lock-{stage}", fcntl.LOCK_EX, f"stage {stage} of run {run.id}"),
    ):
        yield


def is_held(run: Run) -> bool:
    """Whether a process works in the run's folder now, on the whole or on a stage."""
    lock = run.folder / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _held(path: Path, kind: int, what: str) -> Iterator[None]:
    end = time.monotonic() + PATIENCE
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise PantheonError(
                        f"{what} is being worked on by another process.", "Wait for it: bin/pantheon runs"
                    ) from None
            time.sleep(LOOK)
        yield
