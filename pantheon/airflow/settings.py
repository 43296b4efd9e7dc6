"""What the DAGs know of the deployment: read from its state folder, since it changes while Airflow runs."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUN_ID = "[0-9]{8}-[0-9]{6}-[0-9a-f]{4}"  # as pantheon.workflow.run has it


def state_folder() -> Path:
    return Path(os.environ["STATE_DIR"])


def deployment() -> dict[str, Any]:
    """``state/deployment.json``; empty where nothing was written yet."""
    try:
        found: dict[str, Any] = json.loads((state_folder() / "state" / "deployment.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def schedule() -> str | None:
    """When a run starts by itself, as a cron expression; None (the default): never."""
    return deployment().get("schedule") or None


def datasets() -> list[str]:
    """The datasets by name: those that ship with us and the deployment's own."""
    shipped = Path(__file__).resolve().parents[2] / "datasets"
    return sorted({spec.stem for folder in (shipped, state_folder() / "data") for spec in folder.glob("*.toml")})


def run_id(asked: str | None, dag_run_id: str, run_after: datetime) -> str:
    """The run that a DAG run works on: the one asked for, else one of its own, the same at every try and repetition.

    Args:
        dag_run_id: unique in Airflow.
        run_after: when the DAG run was due; never changes.
    """
    mark = hashlib.sha256(dag_run_id.encode()).hexdigest()[:4]
    return asked or f"{run_after.astimezone(UTC):%Y%m%d-%H%M%S}-{mark}"


def secret(name: str) -> str:
    return (Path(os.environ["SECRETS_DIR"]) / name).read_text(encoding="utf-8").strip()


def address(service: str) -> str:
    """The HTTP address of a neighbour, such as ``DATAFLOW`` or ``JUPYTER``."""
    return f"http://{os.environ[service + '_HOST']}:{os.environ[service + '_PORT']}"
