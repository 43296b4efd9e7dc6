"""The feature store: bring online what is new, for every feature view.

Only what is not online yet is read, late rows and corrections included, so a run may be repeated at any time. Runs of
the workflow do this for their own views, and what is pushed is online at once: this is for rows that are loaded in
between.

It runs when the deployment has a schedule for it: `make tier-hephaestus up MATERIALIZE=hourly`.
"""

from datetime import datetime

from airflow.sdk import dag, task
from shared import DEFAULTS, failing_at_once, log

from pantheon.airflow import settings
from pantheon.features.client import Features

RETRY_SECONDS = 120.0  # the engine restarts the service when it dies


@dag(
    dag_id="features",
    dag_display_name="Features: bring them online",
    schedule=settings.materialize_schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["pantheon", "features"],
    doc_md=__doc__,
)
def features() -> None:
    @task
    def views() -> list[str]:
        """List the feature views that are read online."""
        with failing_at_once():
            return [view["name"] for view in Features.here(RETRY_SECONDS).catalogue() if view["entity"]]

    @task(map_index_template="{{ task.op_kwargs['view'] }}")
    def materialize(view: str) -> dict[str, int]:
        """Bring one feature view online."""
        with failing_at_once():
            done = Features.here(RETRY_SECONDS).materialize([view])[view]
        if done.rebuilt:
            log.warning("%s: Valkey had lost it; all of it was written again", view)
        log.info("%s: %s rows read, %s entities written, %s older", view, done.read, done.written, done.older)
        return {"read": done.read, "written": done.written, "older": done.older}

    materialize.expand(view=views())


features()
