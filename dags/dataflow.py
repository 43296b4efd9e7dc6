"""The second half of the workflow, run by the workflow's own service: features, training, evaluation, deployment.

The asset event of the DAG `etl` starts it and names the run. The task asks the service to continue the run
(`POST /runs/ID/continue`) and waits until the model is evaluated and the gate has decided. Finished stages do not run
again, so you can *clear* a failed task.

To continue a run by hand, trigger this DAG with the run's ID.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from shared import DEFAULTS, RUN, failing_at_once, log, prepared_for, runs_to_go_on_with

from pantheon.airflow import settings
from pantheon.airflow.dataflow import Service

PREPARED = prepared_for("dataflow")


@dag(
    dag_id="dataflow",
    dag_display_name="Dataflow: train, evaluate, deploy",
    schedule=[PREPARED],
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    tags=["pantheon", "model"],
    doc_md=__doc__,
    params={"run": RUN},
)
def dataflow() -> None:
    @task(inlets=[PREPARED])
    def runs(*, inlet_events: Any = None) -> list[str]:
        """List the prepared runs: several events may have started this DAG run."""
        return runs_to_go_on_with(inlet_events, PREPARED)

    @task(map_index_template="{{ task.op_kwargs['run'] }}", execution_timeout=timedelta(hours=12))
    def finish(run: str) -> dict[str, Any]:
        """Wait until the dataflow service has finished the run."""
        service = Service(settings.address("DATAFLOW"), settings.secret("dataflow_token"))
        with failing_at_once():
            return service.finish(run, log.info)

    finish.expand(run=runs())


dataflow()
