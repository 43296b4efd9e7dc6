"""Record which DAG run continues which run of the workflow, so that no run is missed or continued twice.

Airflow starts one DAG run for asset events that arrive close together, and passes it only the events that are not newer
than the first one queued (seen in 3.3.2: ``_queue_dagruns_nonpartitioned_postgres`` keeps the first event's time, and
``_create_dag_runs_asset_triggered`` takes the events that are not newer and drops the rest). So the DAG run that was
started queries newer events itself.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.files import lock, write_json
from pantheon.workflow.runs import HANDED_OVER


def taken(state: Path, run: str) -> dict[str, Any] | None:
    """Return the DAG run that continues the run: ``dag``, ``dag_run`` and ``at`` (ISO 8601); None if there is none."""
    try:
        record: dict[str, Any] = json.loads((state / "runs" / run / HANDED_OVER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record


def take(state: Path, events: Iterable[tuple[str, datetime]], dag: str, dag_run: str) -> list[str]:
    """Claim the runs that no other DAG run has claimed since they were prepared.

    Args:
        state: the deployment's state folder.
        events: run and the time it was prepared. A run may occur several times; runs without a folder are skipped.
        dag, dag_run: the claiming DAG run. Its earlier claims stay valid, so a task that is retried gets the same runs.

    Returns:
        Run IDs, oldest first.
    """
    newest: dict[str, datetime] = {}
    for run, at in events:
        newest[run] = max(at, newest.get(run, at))
    mine = []
    for run, at in sorted(newest.items()):
        folder = state / "runs" / run
        if not folder.is_dir():
            continue
        with lock(folder / ".handed-over.lock"):
            record = taken(state, run)
            own = record is not None and (record["dag"], record["dag_run"]) == (dag, dag_run)
            if record is None or (not own and datetime.fromisoformat(record["at"]) < at):
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                write_json(folder / HANDED_OVER, {"dag": dag, "dag_run": dag_run, "at": now})
                own = True
        if own:
            mine.append(run)
    return mine
