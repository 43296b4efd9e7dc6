"""The deployment's settings for DAGs. Read from the state folder every time: they change while Airflow runs."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.state import Settings, published

RUN_ID = "[0-9]{8}-[0-9]{6}-[0-9a-f]{4}"  # the same as in pantheon.workflow.run


def state_folder() -> Path:
    return Path(os.environ["STATE_DIR"])


def deployment() -> Settings:
    """Return the settings that the host published; the defaults before the first ``up``."""
    return published(state_folder())


def schedule() -> str | None:
    """Return the schedule of automatic runs as a cron expression; None (the default) means no schedule."""
    return deployment().schedule or None


def monitor_schedule() -> str | None:
    """Return when the monitor runs, as a cron expression; None (the default) means never."""
    return deployment().monitor or None


def materialize_schedule() -> str | None:
    """Return when features are brought online, as a cron expression; None (the default) means never."""
    return deployment().materialize or None


def datasets() -> list[str]:
    """Return the names of the datasets: those that ship with Pantheon and the deployment's own."""
    shipped = Path(__file__).resolve().parents[2] / "datasets"
    return sorted({spec.stem for folder in (shipped, state_folder() / "data") for spec in folder.glob("*.toml")})


def run_id(requested: str | None, dag_run_id: str, run_after: datetime) -> str:
    """Return the ID of the run that a DAG run works on: the requested one, or else a new one.

    A new ID is derived from the arguments, so retries and repetitions get the same ID.

    Args:
        dag_run_id: unique in Airflow.
        run_after: the time the DAG run was due; never changes.
    """
    mark = hashlib.sha256(dag_run_id.encode()).hexdigest()[:4]
    return requested or f"{run_after.astimezone(UTC):%Y%m%d-%H%M%S}-{mark}"


def secret(name: str) -> str:
    return secret_file(name).read_text(encoding="utf-8").strip()


def secret_file(name: str) -> Path:
    return Path(os.environ["SECRETS_DIR"]) / name


def address(service: str) -> str:
    """Return the HTTP address of another service, such as ``DATAFLOW`` or ``JUPYTER``."""
    return f"http://{os.environ[service + '_HOST']}:{os.environ[service + '_PORT']}"


def jupyter() -> str:
    """Return the address of the JupyterLab that runs notebooks; with JupyterHub, which has its port, another one."""
    port = "NOTEBOOKS_PORT" if deployment().route.notebooks else "JUPYTER_PORT"
    return f"http://{os.environ['JUPYTER_HOST']}:{os.environ[port]}"


def starter(dag_run: Any) -> str:
    """Return who started a DAG run, for the record of the workflow's run: a user of Airflow, or its scheduler."""
    user = getattr(dag_run, "triggering_user_name", None)
    return f"{user} in Airflow" if user else "Airflow, by its schedule"
