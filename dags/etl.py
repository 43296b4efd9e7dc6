"""The first half of the workflow: from raw data to training data.

Each task runs one stage in the workflow's own environment, on the folder of one run (`runs/ID` in the state folder).
Temporary errors are retried. **Bad data fails at once**: the last lines of the task's log say what is wrong and how to
fix it. Fix it, then *clear* the failed task: the run continues from there.

After `preprocess`, an asset event names the run and starts the DAG that continues it in this deployment: `dataflow`,
or `notebooks` if the deployment has JupyterLab, or its variant `pycaret`. With Kubeflow, whose pipelines run the whole
workflow, the runs that Airflow starts still continue in notebooks.

Trigger this DAG by hand, or give the deployment a schedule:
`make tier-prometheus up SCHEDULE='0 6 * * *'`.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from shared import DEFAULTS, HANDOVER, RUN, failing_at_once, log, prepared_for

from pantheon.airflow import settings
from pantheon.airflow.stages import run_stage

deployment = settings.deployment()


def stage(name: str) -> dict[str, Any]:
    """Run one stage; Airflow's interface shows what it returns (XCom)."""
    context = get_current_context()
    params, dag_run = context["params"], context["dag_run"]
    run = settings.run_id(params["run"], dag_run.run_id, dag_run.run_after)
    asked = {
        "dataset": params["dataset"],
        "params": {key: params[key] for key in ("trials", "seed", "folds", "metric", "approval")},
        "tier": settings.deployment().tier,
        "runner": "graph",
        "by": settings.starter(dag_run),
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
            deployment.dataset or "robots",
            type="string",
            examples=settings.datasets(),
            title="Dataset",
            description="A dataset that ships with Pantheon, or your own (`DATA=… TARGET=…`).",
        ),
        "trials": Param(
            deployment.trials or 10,
            type="integer",
            minimum=1,
            maximum=1000,
            title="Trials",
            description="Hyperparameter trials for each model family.",
        ),
        "seed": Param(
            42 if deployment.seed is None else deployment.seed,
            type="integer",
            minimum=0,
            maximum=2**32 - 1,
            title="Seed",
            description="The same data, parameters and seed give the same model.",
        ),
        "folds": Param(
            deployment.folds or 5,
            type="integer",
            minimum=2,
            maximum=50,
            title="Folds",
            description="Folds of cross-validation; fewer where a class is rare.",
        ),
        "metric": Param(
            deployment.metric or "",
            type="string",
            title="Metric",
            description="What models are chosen and judged by, such as mae; empty: ROC AUC or RMSE.",
        ),
        "approval": Param(
            deployment.approval or "auto",
            type="string",
            enum=["auto", "required"],
            title="Approval",
            description="required: someone must approve the model before it is deployed.",
        ),
        "run": RUN,
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=1000,
            title="Reason",
            description="Why the run was started; the monitor says it.",
        ),
    },
)
def etl() -> None:
    @task
    def load_data() -> dict[str, Any]:
        """Read the dataset into the run's folder."""
        return stage("load_data")

    @task
    def clean_data() -> dict[str, Any]:
        """Check the data against its spec, repair what can be repaired, and report the changes."""
        return stage("clean_data")

    @task
    def split_data() -> dict[str, Any]:
        """Split the rows into training and held-out rows, without leakage."""
        return stage("split_data")

    @task(outlets=[HANDOVER])
    def preprocess(*, outlet_events: Any = None) -> dict[str, Any]:
        """Prepare missing values, categories and scales; then start the DAG that continues."""
        done = stage("preprocess")
        route = settings.deployment().route
        rest = route.after_etl or route.rest
        outlet_events[HANDOVER].add(prepared_for(rest), extra={"run": done["run"]})
        log.info("%s continues run %s", rest, done["run"])
        return done

    load_data() >> clean_data() >> split_data() >> preprocess()


etl()
