"""The second half of the workflow in JupyterLab: one notebook after another, then deployment.

The asset event of the DAG `etl` starts it and names the run. Each task runs one notebook as a job in JupyterLab (see
**Notebook Jobs** there) and stores the executed copy, with its outputs, in `runs/ID/notebooks`. If a cell fails, its
error is at the end of the task's log. Fix the notebook, then *clear* the failed task: finished notebooks do not run
again. `quick_preprocessing` is skipped if the deployment stores its models in a folder.

To continue a run by hand, trigger this DAG with the run's ID.
"""

from typing import Any

from airflow.sdk import TriggerRule, dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from msgspec.structs import replace
from shared import DEFAULTS, RUN, failing_at_once, log, prepared_for, runs_to_go_on_with

from pantheon.airflow import settings
from pantheon.airflow.dataflow import Service
from pantheon.jupyter.client import Jupyter, run_notebook
from pantheon.jupyter.graph import graph_of, may_be_skipped
from pantheon.state import Route

LABEL = "{{ task.op_kwargs['run'] }}"


def build(name: str, title: str, rest: str, words: str) -> None:
    """The DAG ``name``, for deployments whose route says that ``rest`` goes on after the ETL."""
    prepared = prepared_for(rest)
    graph = graph_of(Route(rest=rest, models="s3"))  # all that there may be: who skips is known at run time only

    @dag(
        dag_id=name,
        dag_display_name=title,
        schedule=[prepared],
        catchup=False,
        max_active_runs=2,
        default_args=DEFAULTS,
        tags=["pantheon", "model", "jupyter"],
        doc_md=words,
        params={"run": RUN},
    )
    def notebooks() -> None:
        @task(inlets=[prepared])
        def runs(*, inlet_events: Any = None) -> list[str]:
            """List the prepared runs: several events may have started this DAG run."""
            return runs_to_go_on_with(inlet_events, prepared)

        @task(map_index_template=LABEL)
        def notebook(run: str, name: str) -> str:
            """Run one notebook of the run in JupyterLab."""
            if name not in graph_of(replace(settings.deployment().route, rest=rest)):
                raise AirflowSkipException(f"{name} is not a notebook of this deployment")
            jupyter = Jupyter(settings.jupyter(), settings.secret("jupyter_token"))
            timeout = DEFAULTS["execution_timeout"].total_seconds() - 60  # leaves time to report what it waited for
            with failing_at_once():
                copy = run_notebook(jupyter, name, run, settings.state_folder(), timeout, log.info)
            return str(copy.relative_to(settings.state_folder()))

        @task(map_index_template=LABEL)
        def deploy(run: str) -> dict[str, Any]:
            """Apply the gate: the dataflow service finishes the run."""
            service = Service(settings.address("DATAFLOW"), settings.secret("dataflow_token"))
            with failing_at_once():
                return service.finish(run, log.info)

        @task_group
        def of_run(run: str) -> None:
            """Run the notebooks of one run, each as soon as its inputs are ready."""
            tasks = {}
            for name, needs in graph.items():
                rule = TriggerRule.NONE_FAILED if any(map(may_be_skipped, needs)) else TriggerRule.ALL_SUCCESS
                tasks[name] = notebook.override(task_id=name, trigger_rule=rule)(run=run, name=name)
                for need in needs:
                    tasks[need] >> tasks[name]
            last = [tasks[name] for name in graph if not any(name in needs for needs in graph.values())]
            last >> deploy(run=run)

        of_run.expand(run=runs())

    notebooks()


PYCARET_WORDS = """The second half of the workflow with PyCaret, in JupyterLab: its notebooks, then deployment.

The variant `VARIANT=pycaret` of odysseus: PyCaret does feature work, training, comparison, tuning and selection. The
gate is the same. Everything else works as in the DAG `notebooks`.

To continue a run by hand, trigger this DAG with the run's ID.
"""

build("notebooks", "Notebooks: features, training, evaluation in JupyterLab", "jupyter", str(__doc__))
build("pycaret", "PyCaret: features, training, tuning, evaluation in JupyterLab", "pycaret", PYCARET_WORDS)
