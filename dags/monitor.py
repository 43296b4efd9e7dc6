"""The monitor: what the prediction log says about each deployed model, and a retraining when it says so.

The service `monitor` makes the report about the last window, keeps it for the page and tells its alerts. If a model
should be trained again, the last task starts the DAG `etl` over Airflow's REST API, with the reason in the run's
configuration and note: one run at a time, and not again within 24 hours (`RETRAIN=`). The new data is what users said
about predictions; the gate decides, and what it refused is not used again.

It runs when the deployment has a schedule for it: `make tier-epimetheus up MONITOR=hourly`.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import dag, task
from shared import DEFAULTS, failing_at_once, log

from pantheon.airflow import monitor as monitoring
from pantheon.airflow import settings

WORKFLOW = ("etl", "dataflow", "notebooks", "pycaret")  # DAGs whose runs are the workflow's


@dag(
    dag_id="monitor",
    dag_display_name="Monitor: report, alerts, retraining",
    schedule=settings.monitor_schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["pantheon", "monitoring"],
    doc_md=__doc__,
)
def monitor() -> None:
    @task
    def served() -> list[str]:
        """List the deployed models."""
        with failing_at_once():
            found: list[str] = monitoring.monitor().ask("served")
            return found

    @task(map_index_template="{{ task.op_kwargs['model'] }}")
    def look(model: str) -> dict[str, Any]:
        """Make the report about one model, and tell its alerts."""
        with failing_at_once():
            found = monitoring.monitor().ask("report", model=model)
        report = found["reports"][model]
        for alert in report["alerts"]:
            log.warning("%s: %s Look at: %s", alert["level"], alert["text"], alert["look"])
        log.info("%s: requests: %s, alerts: %s", model, report["requests"], len(report["alerts"]))
        return {"model": model, "due": found["due"].get(model, "")}

    @task(trigger_rule="all_done")
    def retrain(looked: Any) -> dict[str, str]:
        """Start the workflow for a model that should be trained again."""
        due = {each["model"]: each["due"] for each in looked or [] if each and each["due"]}
        with failing_at_once():
            return monitoring.retrain(monitoring.monitor(), monitoring.airflow(), due, log.info, WORKFLOW)

    retrain(look.expand(model=served()))


monitor()
