"""The first half of the workflow: from raw data to what models are trained on.

Each task runs one stage in the workflow's own environment, on the folder of one run (`runs/ID` in the state folder).
What goes wrong by chance is tried again. **Wrong data fails at once**: the last lines of the task's log say what is
wrong and what to do about it. Put it right, then *clear* the failed task: the run goes on from there.

When `preprocess` is done, an asset event names the run, and whoever goes on in this deployment starts: the DAG
`dataflow`, or where JupyterLab is part of it `notebooks`, or its variant `pycaret`.

It starts when somebody triggers it. To have it start by itself, give the deployment a schedule:
`make tier-prometheus up SCHEDULE='0 6 * * *'`.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from shared import DEFAULTS, HANDOVER, PREPARED, RUN, failing_at_once, log

from pantheon.airflow import settings
from pantheon.airflow.stages import run_stage

deployment = settings.deployment()


def stage(name: str) -> dict[str, Any]:
    """Run one stage of this DAG run's run; what it returns is shown in the interface (XCom)."""
    context = get_current_context()
    params, dag_run = context["params"], context["dag_run"]
    run = settings.run_id(params["run"], dag_run.run_id, dag_run.run_after)
    asked = {
        "dataset": params["dataset"],
        "params": {key: params[key] for key in ("trials", "seed", "approval")},
        "tier": settings.deployment().get("tier", ""),
        "runner": "graph",
    }
    with failing_at_once():
        return {"run": run} | run_stage(name, run, asked, log.info)


@dag(
    dag_id="etl",
    dag_display_name="ETL: load, clean, split, preprocess",
    schedule=settings.schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    tags=["pantheon", "etl"],
    doc_md=__doc__,
    params={
        "dataset": Param(
            deployment.get("dataset") or "robots",
            type="string",
            examples=settings.datasets(),
            title="Dataset",
            description="One that ships with Pantheon, or your own (`DATA=… TARGET=…`).",
        ),
        "trials": Param(
            deployment.get("trials") or 10,
            type="integer",
            minimum=1,
            maximum=1000,
            title="Trials",
            description="Hyperparameter trials for each family of models.",
        ),
        "seed": Param(
            42 if deployment.get("seed") is None else deployment["seed"],
            type="integer",
            minimum=0,
            maximum=2**32 - 1,
            title="Seed",
            description="The same data, parameters and seed give the same model.",
        ),
        "approval": Param(
            deployment.get("approval") or "auto",
            type="string",
            enum=["auto", "required"],
            title="Approval",
            description="required: a person looks at the model before it is deployed.",
        ),
        "run": RUN,
    },
)
def etl() -> None:
    @task
    def load_data() -> dict[str, Any]:
        """Read the dataset into the run's folder."""
        return stage("load_data")

    @task
    def clean_data() -> dict[str, Any]:
        """Hold the data to its spec, repair what may be repaired, and say what was done."""
        return stage("clean_data")

    @task
    def split_data() -> dict[str, Any]:
        """Training and held-out rows, without leakage."""
        return stage("split_data")

    @task(outlets=[HANDOVER])
    def preprocess(*, outlet_events: Any = None) -> dict[str, Any]:
        """Missing values, categories, scales; then hand over to whoever goes on in this deployment."""
        done = stage("preprocess")
        rest = settings.deployment().get("route", {}).get("rest", "dataflow")
        outlet_events[HANDOVER].add(PREPARED[rest], extra={"run": done["run"]})
        log.info("%s goes on with run %s", rest, done["run"])
        return done

    load_data() >> clean_data() >> split_data() >> preprocess()


etl()
