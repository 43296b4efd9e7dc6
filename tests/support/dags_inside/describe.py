"""Runs in Airflow's environment: what is in the folder of DAGs, as JSON."""

import json
import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag


def described(task: Any) -> dict[str, Any]:
    timeout = task.execution_timeout
    return {
        "next": sorted(task.downstream_task_ids),
        "rule": str(task.trigger_rule.value),
        "retries": task.retries,
        "delay": task.retry_delay.total_seconds(),
        "timeout": timeout.total_seconds() if timeout else None,
        "outlets": [outlet.name for outlet in task.outlets],
        "mapped": bool(task.is_mapped or task.get_closest_mapped_task_group()),
        "label": getattr(task, "map_index_template", None),
    }


bag = DagBag(sys.argv[1])
found = {
    name: {
        "tasks": {task.task_id: described(task) for task in dag.tasks},
        "params": dag.params.dump(),
        "schemas": {key: dag.params.get_param(key).schema for key in dag.params},
        "doc": dag.doc_md,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "at_once": dag.max_active_runs,
        "timetable": type(dag.timetable).__name__,
        "cron": getattr(dag.timetable, "expression", None),
        "waits_for": [asset.uri for asset in dag.timetable.asset_condition.objects]
        if getattr(dag.timetable, "asset_condition", None)
        else [],
    }
    for name, dag in bag.dags.items()
}
json.dump({"dags": found, "errors": bag.import_errors}, sys.stdout)
