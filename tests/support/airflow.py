"""One deployment of prometheus for the tests in this folder: the real PostgreSQL and Airflow as processes."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from typing import Any

import psutil

from pantheon.airflow.client import Airflow
from pantheon.engines import record
from pantheon.engines.local import environments
from pantheon.engines.local.paths import Home
from tests.support import ROOT
from tests.support.command_line import Pantheon
from tests.support.waiting import until

PORTS = {"button": 8080, "airflow": 8081, "dataflow": 8070, "postgres": 5433}


class Prometheus:
    """The deployment, with Airflow's REST API."""

    def __init__(self, pantheon: Pantheon) -> None:
        self.pantheon, self.state = pantheon, pantheon.state
        self.airflow = Airflow(f"http://127.0.0.1:{self.port('airflow')}", self.state / "secrets" / "airflow_password")

    def port(self, service: str) -> int:
        return PORTS[service] + self.pantheon.offset

    def status(self) -> dict[str, dict[str, Any]]:
        """What the supervisor wrote of each service: its state, its pid."""
        return {each["name"]: each for each in record.read(Home(self.state).services)["services"]}

    def pid(self, service: str) -> int:
        return int(self.status()[service]["pid"])

    def processes(self) -> list[psutil.Process]:
        """Every process of the deployment: by its environment, or as the descendant of one."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                if any(str(self.state) in value for value in process.environ().values()):
                    found |= {each.pid: each for each in (process, *process.children(recursive=True))}
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        found.pop(os.getpid(), None)
        return list(found.values())

    def inside(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """``python WORDS`` in the environment of a running service of Airflow's."""
        environment = psutil.Process(self.pid(service)).environ() | {"PYTHONPATH": str(ROOT)}
        python = str(environments.folder_of("airflow") / "bin" / "python")
        return subprocess.run(
            [python, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def trigger(self, name: str, **conf: Any) -> str:
        """Begin a run of the ETL; its id in Airflow."""
        dag_run = f"{name}__{time.time_ns()}"
        self.airflow.trigger("etl", dag_run, {"trials": 1, **conf})
        return dag_run

    def running(self, dag_run: str) -> bool:
        """Whether a task of it is at work."""
        return any(task.state == "running" for task in self.airflow.tasks("etl", dag_run))

    def wait(self, dag_run: str, dag: str = "etl", seconds: float = 120) -> str:
        """How it ends."""

        def ended() -> str:
            state = self.airflow.state(dag, dag_run)
            return state if state in ("success", "failed") else ""

        return str(until(ended, seconds, f"{dag_run} of {dag}"))

    def tries(self, dag_run: str) -> dict[str, tuple[str, int]]:
        return {task.task: (task.state, task.attempt) for task in self.airflow.tasks("etl", dag_run)}

    def pause(self, dag: str, paused: bool) -> None:
        self.airflow.ask("/api/v2/version")  # logs in
        request = urllib.request.Request(
            f"{self.airflow.address}/api/v2/dags/{dag}",
            json.dumps({"is_paused": paused}).encode(),
            {"Authorization": f"Bearer {self.airflow.token}", "Content-Type": "application/json"},
            method="PATCH",
        )
        urllib.request.urlopen(request, timeout=30).close()

    def kill(self, service: str) -> int:
        """kill -9 of a service's main process; its pid."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def healthy_again(self, service: str, killed: int, seconds: float = 90) -> None:
        def back() -> bool:
            now = self.status()[service]
            return now["state"] == "healthy" and now["pid"] != killed

        until(back, seconds, f"{service} is back")

    def logs(self) -> dict[str, str]:
        """Every log by its path: the services', and the tasks'."""
        found = [*(self.state / "logs").glob("*"), *(self.state / "volumes" / "airflow" / "logs").rglob("*")]
        return {str(path): path.read_text(errors="replace") for path in found if path.is_file()}
