"""One deployment in containers that grows to the last tier with all components, and what was seen on the way."""

import json
import os
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.engines.compose.client import Api
from pantheon.engines.compose.keepers import keeps
from tests.support.climb import BUILT, Load, checksums, versions
from tests.support.command_line import Answer
from tests.support.compose import Composed
from tests.support.waiting import until

LAST = BUILT[-1]


AIRFLOW = {"postgres", "airflow", "airflow-scheduler", "airflow-dag-processor"}


EVERY = AIRFLOW | {
    "button",
    "dataflow",
    "jupyter",
    "s3",
    "endpoint",
    "predictions",
    "frontend",
    "monitor",
    "feast",
    "valkey",
    "kubeflow",
    "hub",
    "hub-proxy",
    "hub-servers",
    "tensorboard",
    "dashboard",
    "orders",
}


DONE = {"airflow-migrate", "s3-buckets", "feast-database"}


@dataclass
class Climb:
    """The deployment at the last tier, and what was seen on the way there."""

    made: Composed
    load: Load
    buttons: list[str] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: list[Answer] = field(default_factory=list)
    schedulers: list[dict[str, Any]] = field(default_factory=list)

    def run(self, tier: str) -> Path:
        return self.made.state / "runs" / str(self.outcomes[tier]["run"])

    def grow(self, api: Api, tier: str) -> None:
        self.said.append(self.made("up", tier, timeout=400))
        self.buttons.append(self.made.inspect(api)["Id"])
        self.files.append(checksums(self.made.state))
        self.models.append(versions(self.made))

    def kill_scheduler(self, api: Api) -> None:
        """kill -9 of the container's main process; wait until it is back, and note what it was and is."""
        before = self.made.inspect(api, "airflow-scheduler")
        os.kill(before["State"]["Pid"], signal.SIGKILL)

        def back() -> bool:
            now = self.made.inspect(api, "airflow-scheduler")
            again = now["State"]["Pid"] not in (0, before["State"]["Pid"])
            return again and now["State"].get("Health", {}).get("Status") == "healthy"

        until(back, 200)
        self.schedulers = [before, self.made.inspect(api, "airflow-scheduler")]


def running(docker: Api, made: Composed) -> set[str]:
    """Services whose container runs, without those that keep a port open for one."""
    return {
        str(each["Config"]["Labels"]["com.docker.compose.service"])
        for each in docker.containers(made.name)
        if each["State"]["Running"] and not keeps(each)
    }


def airflow(made: Composed, path: str) -> Any:
    """What Airflow's API answers to its user."""
    base = f"http://127.0.0.1:{8081 + made.offset}"
    word = (made.state / "secrets" / "airflow_password").read_text().strip()
    asked = urllib.request.Request(
        f"{base}/auth/token",
        json.dumps({"username": "admin", "password": word}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        token = json.load(answer)["access_token"]
    asked = urllib.request.Request(f"{base}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def history(made: Composed) -> dict[str, str]:
    """Airflow's runs: id → state."""
    found = airflow(made, "dags/~/dagRuns?limit=100")["dag_runs"]
    return {f"{run['dag_id']} {run['dag_run_id']}": run["state"] for run in found}
