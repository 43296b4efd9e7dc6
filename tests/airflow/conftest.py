"""One deployment of prometheus for the tests in this folder: the real PostgreSQL and Airflow as processes."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from pantheon.cli import envs
from pantheon.cli.airflow import Airflow
from pantheon.engines.files import Home, read_json
from tests.conftest import ROOT, Pantheon, assert_nothing_left, make_pantheon

PORTS = {"button": 8080, "airflow": 8081, "dataflow": 8070, "postgres": 5433}


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """What ``condition`` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


class Prometheus:
    """The deployment, with Airflow's REST API."""

    def __init__(self, pantheon: Pantheon) -> None:
        self.pantheon, self.state = pantheon, pantheon.state
        self.airflow = Airflow(f"http://127.0.0.1:{self.port('airflow')}", self.state / "secrets" / "airflow_password")

    def port(self, service: str) -> int:
        return PORTS[service] + self.pantheon.offset

    def status(self) -> dict[str, dict[str, Any]]:
        """What the supervisor wrote of each service: its state, its pid."""
        return {each["name"]: each for each in read_json(Home(self.state).services)["services"]}

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
        python = str(envs.folder_of("airflow") / "bin" / "python")
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


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    made = make_pantheon(tmp_path_factory.mktemp("prometheus"), TRIALS="1")
    made("up", "prometheus", "--no-run", timeout=300)
    deployment = Prometheus(made)
    try:
        for dag in ("etl", "dataflow"):
            deployment.airflow.wait_for_dag(dag)
        yield deployment
    finally:
        made("down", check=False)
    assert_nothing_left(made.home)


@pytest.fixture
def alone(prometheus: Prometheus) -> Iterator[None]:
    """The ETL by itself: who would go on after it is paused, since training would only make the machine busy."""
    prometheus.pause("dataflow", True)
    yield
    prometheus.pause("dataflow", False)
