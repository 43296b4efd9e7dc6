"""The second half of the workflow, run by the workflow's own service: features, training, evaluation, deployment.

Started by the asset event of the DAG `etl`, which names the run. The task asks the service to go on with it
(`POST /runs/ID/continue`) and waits until the model is evaluated and the gate has decided. Asking twice does no harm:
what is done is not done again, so a failed task may be *cleared*.

To go on with a run by hand, trigger this DAG with the run's id.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from shared import DEFAULTS, PREPARED, RUN, failing_at_once, log, runs_to_go_on_with

from pantheon.airflow import settings
from pantheon.airflow.dataflow import Service


@dag(
    dag_id="dataflow",
    dag_display_name="Dataflow: train, evaluate, deploy",
    schedule=[PREPARED["dataflow"]],
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    tags=["pantheon", "model"],
    doc_md=__doc__,
    params={"run": RUN},
)
def dataflow() -> None:
    @task(inlets=[PREPARED["dataflow"]])
    def runs(*, inlet_events: Any = None) -> list[str]:
        """The runs whose data is prepared: several events may have started this DAG run."""
        return runs_to_go_on_with(inlet_events, PREPARED["dataflow"])

    @task(map_index_template="{{ task.op_kwargs['run'] }}", execution_timeout=timedelta(hours=12))
    def finish(run: str) -> dict[str, Any]:
        """Wait for the dataflow service to do the rest of the run."""
        service = Service(settings.address("DATAFLOW"), settings.secret("dataflow_token"))
        with failing_at_once():
            return service.finish(run, log.info)

    finish.expand(run=runs())


dataflow()
