"""Which DAG run goes on with which run of the workflow: written down, so that none is forgotten or taken twice.

Airflow starts one DAG run for asset events that come close together, and gives it those alone that are not newer than
the first one queued (seen in 3.3.2: ``_queue_dagruns_nonpartitioned_postgres`` keeps the first one's time, and
``_create_dag_runs_asset_triggered`` takes what is not newer and forgets the rest). So the DAG run that was started
looks for newer events itself.
"""

import fcntl
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.workflow.run import write_json

RECORD = "handed-over.json"


def taken(state: Path, run: str) -> dict[str, Any] | None:
    """Who goes on with the run: ``dag``, ``dag_run`` and ``at`` (ISO 8601); None where nobody does yet."""
    try:
        found: dict[str, Any] = json.loads((state / "runs" / run / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def take(state: Path, events: Iterable[tuple[str, datetime]], dag: str, dag_run: str) -> list[str]:
    """Take the runs that no other DAG run has taken since they were prepared.

    Args:
        state: the deployment's state folder.
        events: run and when it was prepared; a run may come several times, and one whose folder is gone is left out.
        dag, dag_run: who takes them. What it has taken before is its own still: a task that is repeated finds the same.

    Returns:
        Ids, the oldest first.
    """
    newest: dict[str, datetime] = {}
    for run, at in events:
        newest[run] = max(at, newest.get(run, at))
    mine = []
    for run, at in sorted(newest.items()):
        folder = state / "runs" / run
        if not folder.is_dir():
            continue
        with (folder / ".handed-over.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = taken(state, run)
            own = record is not None and (record["dag"], record["dag_run"]) == (dag, dag_run)
            if record is None or (not own and datetime.fromisoformat(record["at"]) < at):
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                write_json(folder / RECORD, {"dag": dag, "dag_run": dag_run, "at": now})
                own = True
        if own:
            mine.append(run)
    return mine
