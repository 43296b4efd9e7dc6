"""Recording a run as people see it: a step of the run, and a line in a notebook."""

import time
from collections.abc import Callable
from typing import Any

from pantheon.errors import PantheonError
from pantheon.versioning.record import record
from pantheon.versioning.repository import enabled
from pantheon.workflow.run import Run

NAME = "version_control"


def step(run: Run, report: Callable[[dict[str, Any]], None]) -> None:
    """Record the run, and report that as a stage's begin and end; nothing where DVC is not enabled.

    Raises:
        PantheonError: as ``record``.
    """
    if not enabled(run.state):
        return
    event, clock = {"event": "stage", "run": run.id, "stage": NAME}, time.perf_counter()
    report({**event, "state": "running"})
    try:
        found = record(run)
    except PantheonError as error:
        report({**event, "state": "failed", "error": str(error)})
        raise
    summary = {"commit": found["commit"][:12], "tag": found["tag"]}
    report({**event, "state": "done", "summary": summary, "seconds": round(time.perf_counter() - clock, 3)})


def line(run: Run) -> str:
    """Record the run, and say in a line where; or which tier brings DVC.

    Raises:
        PantheonError: as ``record``.
    """
    found = record(run)
    if not found:
        return "not recorded: the tier odysseus brings DVC, which keeps every run's data and parameters"
    return f"recorded: commit {found['commit'][:12]}, tag {found['tag']}, in repositories/main and {found['remote']}"
