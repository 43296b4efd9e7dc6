"""One deployment in containers that grows to the last tier with all components, and what was seen on the way."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.docker_api import Api
from tests.compose.conftest import Composed, clear, make_composed
from tests.conformance.conftest import BUILT, Load, checksums, versions
from tests.conftest import Answer
from tests.engines.conftest import until

LAST = BUILT[-1]
AIRFLOW = {"postgres", "airflow", "airflow-scheduler", "airflow-dag-processor"}
EVERY = AIRFLOW | {"button", "dataflow", "jupyter", "s3"}
DONE = {"airflow-migrate", "s3-buckets"}


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


@pytest.fixture(scope="package")
def climb(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Climb]:
    made = make_composed(tmp_path_factory.mktemp("climb"))
    found = Climb(made, Load(made.page))
    try:
        found.outcomes["persephone"] = made("up", "persephone", "--data", "wine", "--json", timeout=400).json["outcome"]
        mine = made.state / "notebooks" / "mine.ipynb"
        mine.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        with found.load:
            for tier in BUILT:
                found.grow(docker, tier)
                if tier == "prometheus":
                    found.kill_scheduler(docker)
                if tier in ("nemesis", LAST):
                    found.said.append(made("run", "--json", timeout=400))
                    found.outcomes[tier] = found.said[-1].json
        yield found
    finally:
        clear(made)


@pytest.fixture
def last(climb: Climb) -> Composed:
    """At the last tier, on Compose, with all components: nothing to do where the test before left it so."""
    climb.made("up", LAST, "--engine", "compose", "--without", "none", "--no-run", timeout=400)
    return climb.made


def running(docker: Api, made: Composed) -> set[str]:
    """Services whose container runs."""
    return {
        str(each["Config"]["Labels"]["com.docker.compose.service"])
        for each in docker.containers(made.name)
        if each["State"]["Running"]
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
