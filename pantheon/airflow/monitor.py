"""Client for the service ``monitor``, and how a retraining is started: by Airflow's REST API, one at a time."""

from collections.abc import Callable
from typing import Any

from pantheon import durations
from pantheon.airflow import settings
from pantheon.airflow.client import Airflow
from pantheon.errors import PantheonError
from pantheon.web.client import Client

RETRY_SECONDS = 120.0  # the engine restarts the service when it dies
ANSWER_SECONDS = 1900.0  # for a report about a long log
ACTIVE = ("queued", "running")


class Monitor:
    """Client for the service ``monitor``.

    Args:
        address: such as ``http://monitor:8072``.
        token: its bearer token.
    """

    def __init__(self, address: str, token: str, retry_seconds: float = RETRY_SECONDS) -> None:
        self.retry_seconds = retry_seconds
        cure = "It comes with `make tier-epimetheus up`; see `bin/pantheon status` and `logs --service monitor`."
        headers = {"Authorization": f"Bearer {token}"}
        self.client = Client(address, "the monitor", cure, headers, ANSWER_SECONDS)

    def ask(self, question: str, **given: Any) -> Any:
        """Return the answer to a question of ``pantheon.monitoring.work``.

        Raises:
            PantheonError: the question failed, or the service does not answer.
        """
        body = {"question": question, "given": given}
        answer = self.client.ask("POST", "/ask", body, retry_seconds=self.retry_seconds)
        if answer.ok:
            return answer.json()["value"]
        try:
            error = answer.json()
            raise PantheonError(str(error["error"]), str(error.get("cure") or ""), int(error.get("status") or 1))
        except (ValueError, KeyError, TypeError):
            raise PantheonError(f"the monitor answered with status {answer.status}.", "", 1) from None


def monitor() -> Monitor:
    """Return the client for this deployment's service."""
    return Monitor(settings.address("MONITOR"), settings.secret("monitor_token"))


def airflow() -> Airflow:
    """Return the client for this Airflow's own REST API."""
    return Airflow(settings.address("AIRFLOW"), settings.secret_file("airflow_password"))


def busy(api: Airflow, dags: tuple[str, ...]) -> str:
    """Return a DAG run of the workflow that has not ended, such as ``etl, manual__2026…``; empty if there is none."""
    for dag in dags:
        for run in api.runs(dag):
            if run["state"] in ACTIVE:
                return f"{dag}, {run['dag_run_id']}"
    return ""


def retrain(
    service: Monitor, api: Airflow, due: dict[str, str], say: Callable[[str], None], dags: tuple[str, ...]
) -> dict[str, str]:
    """Start the workflow for the first model that is due, unless a run is active.

    Args:
        due: model → why.
        say: called with every line to display.
        dags: the DAGs whose runs are the workflow's.

    Returns:
        ``{"model", "run"}``; empty if nothing was started.
    """
    setting = settings.deployment().retrain
    if not due:
        say("no model needs to be trained again")
        return {}
    if setting == "off":
        say(f"retraining is off (RETRAIN=off); it would be due: {', '.join(due)}")
        return {}
    if active := busy(api, dags):
        say(f"a run is active ({active}): the next monitor decides about {', '.join(due)}")
        return {}
    more = {"cool_down": durations.seconds(setting)} if setting else {}
    for model, why in due.items():
        answer = service.ask("retrain", model=model, why=why, **more)
        if not answer["start"]:
            say(f"{model} is not trained again: {answer['why']}")
            continue
        made = answer["retraining"]
        run, reason = made["run"], f"{model}: {made['reason']}"
        conf = {"dataset": made["dataset"], "run": run, "reason": reason[:1000]}
        api.trigger("etl", f"monitor__{run}", conf, note=f"Started by the monitor. {reason}"[:1000])
        service.ask("begun", run=run)
        say(f"run {run} trains {model} again, with {made['rows']:,} rows of feedback: {made['reason']}")
        return {"model": model, "run": run}
    return {}
