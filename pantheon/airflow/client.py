"""Client for the part of Airflow's REST API (v2) that the command line needs: start a run, watch it, read task logs.

Source: the OpenAPI document that Airflow serves at ``/openapi.json``. Airflow's own client package would be the
largest part of the command line's environment.
"""

import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.web.client import Answer, Client, NoAnswer

RETRY_SECONDS = 90.0  # a killed api-server takes about ten seconds to come back
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


@dataclass(frozen=True)
class TaskInstance:
    """One task of a DAG run.

    Attributes:
        task: the task's id; ``map_index`` is -1 if the task is not mapped; ``label`` is the mapped value.
        state: Airflow's state, such as ``running`` or ``failed``; empty before the task is scheduled.
        attempt: 1 for the first attempt.
        seconds: duration; None before the task has ended.
    """

    dag: str
    dag_run: str
    task: str
    map_index: int
    label: str
    state: str
    attempt: int
    seconds: float | None


class Airflow:
    """Client for the Airflow of one deployment.

    Args:
        address: such as ``http://127.0.0.1:8081``.
        password_file: contains the password of the user ``admin``.

    Attributes:
        retry_seconds: how long requests are repeated while it does not answer.
    """

    def __init__(self, address: str, password_file: Path) -> None:
        self.address, self.password_file = address, password_file
        self.client = Client(address, "Airflow", "See `bin/pantheon status`.")
        self.token = ""
        self.retry_seconds = RETRY_SECONDS

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a GET, or a POST if ``body`` is given; retry while the api-server restarts. Return the parsed JSON.

        Raises:
            Refused: Airflow rejected the request; carries its reason.
            NoAnswer: no answer for ``retry_seconds`` seconds.
        """
        end = time.monotonic() + self.retry_seconds
        while True:
            try:
                if not self.token:
                    password = self.password_file.read_text(encoding="utf-8").strip()
                    login = {"username": "admin", "password": password}
                    self.token = self.send("/auth/token", login).json()["access_token"]
                answer = self.send(path, body, {"Authorization": f"Bearer {self.token}"})
                if answer.ok:
                    return answer.json() if answer.data else None
                problem = f"it answered with status {answer.status}"
            except NoAnswer as error:
                problem = error.problem
            except (OSError, ValueError, KeyError) as error:  # no password file yet, or an incomplete answer
                problem = str(error)
            if time.monotonic() > end:
                raise NoAnswer("Airflow", self.address, problem, self.client.cure)
            time.sleep(0.3)

    def send(self, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request; raise ``Refused`` for a status of 400 to 499, unless the token has expired."""
        answer = self.client.send("GET" if body is None else "POST", path, body, headers)
        if answer.status == 401 and headers:  # a token is valid for one day
            self.token = ""
        elif 400 <= answer.status < 500:
            raise Refused(answer.status, reason(answer))
        return answer

    def wait_for_dag(self, dag: str, waiting: Callable[[], None] = lambda: None) -> None:
        """Wait until the dag-processor has parsed the DAG's file.

        Raises:
            PantheonError: Airflow cannot parse the file (carries the traceback), or the DAG is paused.
        """
        end = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                details = self.ask(f"/api/v2/dags/{dag}")
                break
            except Refused as refused:
                if refused.code != 404 or time.monotonic() > end:
                    raise
            for error in self.ask("/api/v2/importErrors")["import_errors"]:
                raise PantheonError(
                    f"Airflow cannot parse {error['filename']}:\n{error['stack_trace']}", "Fix the file.", 1
                )
            waiting()
            time.sleep(0.3)
        if details["is_paused"]:
            raise PantheonError(
                f"The DAG {dag} is paused in Airflow, so a run would never start.",
                f"Unpause it: {self.address}/dags/{dag}",
            )

    def trigger(self, dag: str, dag_run: str, conf: dict[str, Any], note: str = "") -> None:
        """Start a DAG run with an ID that nobody else uses; ``note`` is shown beside it."""
        body = {"dag_run_id": dag_run, "logical_date": None, "conf": conf} | ({"note": note} if note else {})
        try:
            self.ask(f"/api/v2/dags/{dag}/dagRuns", body)
        except Refused as refused:
            if refused.code != HTTPStatus.CONFLICT:  # the request was repeated, but the first one had arrived
                raise

    def state(self, dag: str, dag_run: str) -> str:
        """Return the DAG run's state: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.ask(f"/api/v2/dags/{dag}/dagRuns/{quote(dag_run)}")["state"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, newest first, at most 100."""
        runs: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns?order_by=-run_after&limit=100")["dag_runs"]
        return runs

    def tasks(self, dag: str, dag_run: str) -> list[TaskInstance]:
        rows = self.ask(f"/api/v2/dags/{dag}/dagRuns/{quote(dag_run)}/taskInstances?limit=200")["task_instances"]
        return [
            TaskInstance(
                dag,
                dag_run,
                row["task_id"],
                row["map_index"],
                row["rendered_map_index"] or "",
                row["state"] or "",
                row["try_number"],
                row["duration"],
            )
            for row in rows
        ]

    def events(self, dag: str, dag_run: str) -> list[dict[str, Any]]:
        """Return the asset events that the run's tasks emitted, newest first."""
        query = urllib.parse.urlencode({"source_dag_id": dag, "source_run_id": dag_run, "order_by": "-timestamp"})
        events: list[dict[str, Any]] = self.ask(f"/api/v2/assets/events?{query}")["asset_events"]
        return events

    def log(self, task: TaskInstance) -> list[str]:
        """Return the log lines of the task's last attempt, without the lines that Airflow adds to every attempt."""
        path = f"/api/v2/dags/{task.dag}/dagRuns/{quote(task.dag_run)}/taskInstances/{task.task}/logs/{task.attempt}"
        content = self.ask(f"{path}?map_index={task.map_index}&full_content=true")["content"]
        return task_lines([line if isinstance(line, str) else str(line["event"]) for line in content])

    def repeat(self, dag: str, dag_run: str) -> None:
        """Run the failed tasks of a DAG run again, and the tasks that depend on them."""
        body = {"dry_run": False, "dag_run_id": dag_run, "only_failed": True, "reset_dag_runs": True}
        self.ask(f"/api/v2/dags/{dag}/clearTaskInstances", body)


def task_lines(lines: list[str]) -> list[str]:
    """Return the lines that the task itself logged, without Airflow's folded groups; all lines if it logged none."""
    kept, group = [], False
    for line in lines:
        if line.startswith("::group::"):
            group = True
        elif line.startswith("::endgroup::"):
            group = False
        elif not group and line != "Task failed with exception":
            kept.append(line)
    return kept or lines


class Refused(PantheonError):
    """Airflow rejected a request; ``code`` is the HTTP status."""

    def __init__(self, code: int, cause: str) -> None:
        super().__init__(f"Airflow rejected the request: {cause}", "See `bin/pantheon logs --service airflow`.", 1)
        self.code = code


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def reason(answer: Answer) -> str:
    """Return the reason for a rejection from Airflow's answer, or else the status."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"
    if isinstance(detail, list):  # FastAPI's validation errors, one per field
        return "; ".join(f"{'.'.join(map(str, error.get('loc', [])))}: {error.get('msg')}" for error in detail)
    return str(detail)
