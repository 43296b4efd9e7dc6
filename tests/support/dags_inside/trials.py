"""Runs in Airflow's environment: runs of DAGs by ``dag.test()``, one after another in one process.

Argument: a JSON list of [DAG, conf]. After what each run says comes a line ``RESULT`` and JSON: its state, its tasks
with their tries, and its asset events.
"""

import json
import sys

from airflow import settings
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent

for dag_id, conf in json.loads(sys.argv[1]):
    try:
        dag = DagBag(settings.DAGS_FOLDER).dags[dag_id]  # anew: a run's conf stays in the parameters of its object
        run = dag.test(run_conf=conf)
    except Exception as error:  # noqa: BLE001 - Airflow's refusal of a parameter is a result, too
        result = {"state": "refused", "why": str(error), "tasks": {}, "events": []}
    else:
        with settings.Session() as session:
            tasks = {ti.task_id: [str(ti.state), ti.try_number] for ti in run.get_task_instances(session=session)}
            events = session.query(AssetEvent).filter(AssetEvent.source_run_id == run.run_id).all()
            found = [[event.asset.uri, event.extra] for event in events]
        result = {"state": str(run.state), "why": "", "tasks": tasks, "events": found}
    print("RESULT " + json.dumps(result), flush=True)
