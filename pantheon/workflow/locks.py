"""Locks of a run's folder: one process runs the complete run, or several processes run single stages of it.

A complete run locks the run exclusively. A single stage takes a shared lock on the run and an exclusive one on the
stage, so that two notebooks or tasks can run two stages of one run in parallel, and no stage runs twice at once. The
kernel frees the locks of a process that dies.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import Busy, is_locked, take_lock
from pantheon.workflow.run import Run

TIMEOUT_SECONDS = 2.0  # `is_held` takes the lock for a moment, and a killed task's process may still be exiting


@contextmanager
def exclusive(run: Run) -> Iterator[None]:
    """Lock the complete run.

    Raises:
        PantheonError: another process has locked it.
    """
    with _held(run.folder / ".lock", f"run {run.id}"):
        yield


@contextmanager
def single(run: Run, stage: str) -> Iterator[None]:
    """Lock one stage of the run.

    Raises:
        PantheonError: another process has locked this stage, or the complete run.
    """
    with (
        _held(run.folder / ".lock", f"run {run.id}", shared=True),
        _held(run.folder / f".lock-{stage}", f"stage {stage} of run {run.id}"),
    ):
        yield


def is_held(run: Run) -> bool:
    """Whether a process has locked the run, or a stage of it."""
    return is_locked(run.folder / ".lock", shared=True)


@contextmanager
def _held(path: Path, what: str, shared: bool = False) -> Iterator[None]:
    try:
        held = take_lock(path, shared, timeout=TIMEOUT_SECONDS)
    except Busy:
        raise PantheonError(
            f"{what} is locked by another process.", "Wait until it ends: `bin/pantheon runs`"
        ) from None
    try:
        yield
    finally:
        os.close(held)
