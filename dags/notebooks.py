"""The second half of the workflow in JupyterLab: one notebook after another, then deployment.

Started by the asset event of the DAG `etl`, which names the run. Each task has one notebook run by JupyterLab
(**Notebook Jobs** shows them there) and keeps the executed copy, with its outputs, in `runs/ID/notebooks`. What goes
wrong in a cell stands at the end of the task's log. Correct the notebook, then *clear* the failed task: what is done is
not done again. `quick_preprocessing` is skipped where the deployment keeps its models in a folder.

To go on with a run by hand, trigger this DAG with the run's id.
"""

from typing import Any

from airflow.sdk import TriggerRule, dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from shared import DEFAULTS, PREPARED, RUN, failing_at_once, log, runs_to_go_on_with

from pantheon.airflow import settings
from pantheon.airflow.dataflow import Service
from pantheon.jupyter_jobs import QUICK, Jupyter, graph_of, run_notebook

LABEL = "{{ task.op_kwargs['run'] }}"


def build(name: str, title: str, rest: str, words: str) -> None:
    """The DAG ``name``, for deployments whose route says that ``rest`` goes on after the ETL."""
    graph = graph_of({"rest": rest, "models": "s3"})  # all that there may be: who skips is known at run time only

    @dag(
        dag_id=name,
        dag_display_name=title,
        schedule=[PREPARED[rest]],
        catchup=False,
        max_active_runs=2,
        default_args=DEFAULTS,
        tags=["pantheon", "model", "jupyter"],
        doc_md=words,
        params={"run": RUN},
    )
    def notebooks() -> None:
        @task(inlets=[PREPARED[rest]])
        def runs(*, inlet_events: Any = None) -> list[str]:
            """The runs whose data is prepared: several events may have started this DAG run."""
            return runs_to_go_on_with(inlet_events, PREPARED[rest])

        @task(map_index_template=LABEL)
        def notebook(run: str, name: str) -> str:
            """Have JupyterLab run one notebook on the run."""
            if name not in graph_of(settings.deployment().get("route", {}) | {"rest": rest}):
                raise AirflowSkipException(f"{name} is none of this deployment's notebooks")
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
            tasks = {}
            for name, needs in graph.items():
                rule = TriggerRule.NONE_FAILED if QUICK in needs else TriggerRule.ALL_SUCCESS  # it may be skipped
                tasks[name] = notebook.override(task_id=name, trigger_rule=rule)(run=run, name=name)
                for need in needs:
                    tasks[need] >> tasks[name]
            last = [tasks[name] for name in graph if not any(name in needs for needs in graph.values())]
            last >> deploy(run=run)

        of_run.expand(run=runs())

    notebooks()


PYCARET_WORDS = """The second half of the workflow with PyCaret, in JupyterLab: its notebooks, then deployment.

The variant `VARIANT=pycaret` of odysseus: PyCaret does feature work, training, comparison, tuning and selection; the
gate is the same. Everything else is as in the DAG `notebooks`.

To go on with a run by hand, trigger this DAG with the run's id.
"""

build("notebooks", "Notebooks: features, training, evaluation in JupyterLab", "jupyter", str(__doc__))
build("pycaret", "PyCaret: features, training, tuning, evaluation in JupyterLab", "pycaret", PYCARET_WORDS)
