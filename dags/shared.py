"""What the DAGs share: the assets by which one hands over to the next, and errors in Airflow's terms."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AssetAlias, Param, get_current_context
from airflow.sdk.exceptions import AirflowFailException

from pantheon.airflow import settings
from pantheon.airflow.handover import take
from pantheon.errors import PantheonError

log = logging.getLogger("pantheon")

# Who goes on after the ETL -> the asset that starts it. An event's extra names the run: {"run": ID}.
PREPARED = {
    "dataflow": Asset("prepared_for_dataflow", uri="x-pantheon://prepared/dataflow"),
    "jupyter": Asset("prepared_for_jupyter", uri="x-pantheon://prepared/jupyter"),
    "pycaret": Asset("prepared_for_pycaret", uri="x-pantheon://prepared/pycaret"),
}
HANDOVER = AssetAlias("prepared")  # which of them it is, is known at run time only

DEFAULTS: dict[str, Any] = {
    "owner": "pantheon",
    "retries": 2,  # for what may pass by itself; bad data fails at once
    "retry_delay": timedelta(seconds=5),
    "execution_timeout": timedelta(hours=2),
}
RUN = Param(
    None,
    type=["null", "string"],
    pattern=f"^{settings.RUN_ID}$",
    title="Run",
    description="The id of a run, such as 20260131-142500-0a1b.",
)


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Bad input fails the task without a retry; the log says cause and cure of that and of all else."""
    try:
        yield
    except PantheonError as error:
        log.error(error.cause)
        if error.cure:
            log.error(error.cure)
        if error.status != 2:
            raise
        raise AirflowFailException(str(error)) from None


def runs_to_go_on_with(inlet_events: Any, asset: Asset) -> list[str]:
    """The runs that this DAG run goes on with: of its events, of newer ones, or the one that a person asked for."""
    context = get_current_context()
    asked, dag_run = context["params"].get("run"), context["dag_run"]
    events = [event for events in context["triggering_asset_events"].values() for event in events]
    if events:
        first = min(event.timestamp for event in events)
        events += inlet_events[asset].after(first.isoformat())  # see pantheon.airflow.handover
    found = [(event.extra["run"], event.timestamp) for event in events]
    if asked:
        found.append((asked, datetime.now(UTC)))
    if not found:
        raise AirflowFailException("No run was named. Trigger this DAG with the id of a run whose data is prepared.")
    return take(settings.state_folder(), found, dag_run.dag_id, dag_run.run_id)
