"""Shared parts of the DAGs: the assets that connect them, and errors in Airflow's terms."""

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


def prepared_for(rest: str) -> Asset:
    """The asset that starts the DAG which continues after the ETL. An event's extra names the run: ``{"run": ID}``.

    Args:
        rest: who runs the other stages, as the deployment's route says; the DAG for it is scheduled on this asset.
    """
    return Asset(f"prepared_for_{rest}", uri=f"x-pantheon://prepared/{rest}")


HANDOVER = AssetAlias("prepared")  # the asset is chosen at run time

DEFAULTS: dict[str, Any] = {
    "owner": "pantheon",
    "retries": 2,  # for temporary errors; bad data fails at once
    "retry_delay": timedelta(seconds=5),
    "execution_timeout": timedelta(hours=2),
}
RUN = Param(
    None,
    type=["null", "string"],
    pattern=f"^{settings.RUN_ID}$",
    title="Run",
    description="The ID of a run, for example 20260131-142500-0a1b.",
)


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Fail the task without a retry on bad input; log the cause and the cure of every error."""
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
    """Return the runs that this DAG run continues: from its events, newer events, or its `run` parameter."""
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
        raise AirflowFailException("No run given. Trigger this DAG with the ID of a run whose data is prepared.")
    return take(settings.state_folder(), found, dag_run.dag_id, dag_run.run_id)
