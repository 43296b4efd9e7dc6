"""What a deployment shows its people, the same before and after it moves to another name, folder, port or engine."""

from pathlib import Path
from typing import Any

from pantheon.airflow.client import Airflow
from tests.support.command_line import Pantheon


def shown(made: Pantheon, state: Path) -> dict[str, Any]:
    """Answers to all questions, models, runs and Airflow's history, as the commands and Airflow's API say.

    Args:
        state: the deployment's folder.
    """
    airflow = Airflow(f"http://127.0.0.1:{8081 + made.offset}", state / "secrets" / "airflow_password")
    runs = airflow.ask("/api/v2/dags/~/dagRuns?limit=100")["dag_runs"]
    asked = made("ask", "--json").json["questions"]
    return {
        "answers": {each["question"]: (each["state"], each["answer"], each["facts"]) for each in asked},
        "models": {**made("models", "list", "--json").json, "where": "its own place"},
        "runs": made("runs", "--json").json,
        "airflow": {f"{run['dag_id']} {run['dag_run_id']}": run["state"] for run in runs},
    }
