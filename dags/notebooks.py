"""The second half of the workflow in JupyterLab: one notebook after another, then deployment.

Started by the asset event of the DAG `etl`, which names the run. Each task has one notebook run by JupyterLab
(**Notebook Jobs** shows them there) and keeps the executed copy, with its outputs, in `runs/ID/notebooks`. What goes
wrong in a cell stands at the end of the task's log. Correct the notebook, then *clear* the failed task: what is done is
not done again.

To go on with a run by hand, trigger this DAG with the run's id.
"""

from typing import Any

from airflow.sdk import dag, task, task_group
from shared import DEFAULTS, PREPARED, RUN, failing_at_once, log, runs_to_go_on_with

from pantheon.airflow import settings
from pantheon.airflow.dataflow import Service
from pantheon.jupyter_jobs import NOTEBOOKS, Jupyter, run_notebook

LABEL = "{{ task.op_kwargs['run'] }}"


@dag(
    dag_id="notebooks",
    dag_display_name="Notebooks: features, training, evaluation in JupyterLab",
    schedule=[PREPARED["jupyter"]],
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    tags=["pantheon", "model", "jupyter"],
    doc_md=__doc__,
    params={"run": RUN},
)
def notebooks() -> None:
    @task(inlets=[PREPARED["jupyter"]])
    def runs(*, inlet_events: Any = None) -> list[str]:
        """The runs whose data is prepared: several events may have started this DAG run."""
        return runs_to_go_on_with(inlet_events, PREPARED["jupyter"])

    @task(map_index_template=LABEL)
    def notebook(run: str, name: str) -> str:
        """Have JupyterLab run one notebook on the run."""
        jupyter = Jupyter(settings.address("JUPYTER"), settings.secret("jupyter_token"))
        timeout = DEFAULTS["execution_timeout"].total_seconds() - 60  # so that it can say what it waited for
        with failing_at_once():
            copy = run_notebook(jupyter, name, run, settings.state_folder(), timeout, log.info)
        return str(copy.relative_to(settings.state_folder()))

    @task(map_index_template=LABEL)
    def deploy(run: str) -> dict[str, Any]:
        """The gate: the dataflow service does what is left of the run."""
        service = Service(settings.address("DATAFLOW"), settings.secret("dataflow_token"))
        with failing_at_once():
            return service.finish(run, log.info)

    @task_group
    def of_run(run: str) -> None:
        """One run's notebooks, each as soon as what it reads is there."""
        tasks = {name: notebook.override(task_id=name)(run=run, name=name) for name in NOTEBOOKS}
        for name, needs in NOTEBOOKS.items():
            for need in needs:
                tasks[need] >> tasks[name]
        last = [tasks[name] for name in NOTEBOOKS if not any(name in needs for needs in NOTEBOOKS.values())]
        last >> deploy(run=run)

    of_run.expand(run=runs())


notebooks()
