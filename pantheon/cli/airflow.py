"""Airflow's REST API (v2), as far as the command line needs it: start a run, look at it, read a task's log.

Source: the OpenAPI document that Airflow serves at ``/openapi.json``. With ``urllib``: a client of its own would be the
largest part of the command line's environment.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

PATIENCE = 90.0  # seconds; a killed api-server is back in about ten
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


@dataclass(frozen=True)
class TaskInstance:
    """One task of a DAG run.

    Attributes:
        task: the task's id; ``map_index`` is -1 where the task is not mapped, ``label`` says what it was mapped to.
        state: Airflow's word, such as ``running`` or ``failed``; empty before it is scheduled.
        attempt: 1 for the first try.
        seconds: how long it took, None before its end.
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
    """A client for one deployment's Airflow.

    Args:
        address: such as ``http://127.0.0.1:8081``.
        password_file: holds the password of the user ``admin``.
    """

    def __init__(self, address: str, password_file: Path) -> None:
        self.address, self.password_file = address, password_file
        self.token = ""

    def ask(self, path: str, body: dict[str, Any] | None = None, patience: float = PATIENCE) -> Any:
        """The answer to a GET, or to a POST of ``body``; waits for an api-server that is being restarted.

        Raises:
            Refused: in Airflow's words.
            PantheonError: it does not answer for ``patience`` seconds.
        """
        end = time.monotonic() + patience
        while True:
            try:
                if not self.token:
                    password = self.password_file.read_text(encoding="utf-8").strip()
                    login = {"username": "admin", "password": password}
                    self.token = self.send("/auth/token", login)["access_token"]
                return self.send(path, body)
            except urllib.error.HTTPError as error:
                if error.code == 401 and self.token:  # a token lasts a day
                    self.token = ""
                elif error.code < 500:
                    raise Refused(error.code, words(error)) from None
                problem = f"it answers with {error.code}"
            except (OSError, ValueError) as error:
                problem = str(getattr(error, "reason", error))
            if time.monotonic() > end:
                raise PantheonError(
                    f"Airflow at {self.address} does not answer: {problem}.", "See: bin/pantheon status", 1
                )
            time.sleep(0.3)

    def send(self, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(self.address + path, headers={"Accept": "application/json"})  # noqa: S310
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own http:// address
            return json.loads(answer.read() or b"null")

    def wait_for_dag(self, dag: str, waiting: Callable[[], None] = lambda: None) -> None:
        """Wait until the dag-processor has read the DAG's file.

        Raises:
            PantheonError: it cannot be read, with Airflow's words; or it is paused.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = self.ask(f"/api/v2/dags/{dag}")
                break
            except Refused as refused:
                if refused.code != 404 or time.monotonic() > end:
                    raise
            for error in self.ask("/api/v2/importErrors")["import_errors"]:
                raise PantheonError(
                    f"Airflow cannot read {error['filename']}:\n{error['stack_trace']}", "Put the file right.", 1
                )
            waiting()
            time.sleep(0.3)
        if found["is_paused"]:
            raise PantheonError(
                f"Airflow's DAG {dag} is paused, so a run would wait for ever.",
                f"Switch it on: {self.address}/dags/{dag}",
            )

    def trigger(self, dag: str, dag_run: str, conf: dict[str, Any]) -> None:
        self.ask(f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": dag_run, "logical_date": None, "conf": conf})

    def state(self, dag: str, dag_run: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.ask(f"/api/v2/dags/{dag}/dagRuns/{quote(dag_run)}")["state"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The DAG's runs, newest first, 100 at most."""
        found: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns?order_by=-run_after&limit=100")["dag_runs"]
        return found

    def tasks(self, dag: str, dag_run: str) -> list[TaskInstance]:
        found = self.ask(f"/api/v2/dags/{dag}/dagRuns/{quote(dag_run)}/taskInstances?limit=200")["task_instances"]
        return [
            TaskInstance(
                dag,
                dag_run,
                each["task_id"],
                each["map_index"],
                each["rendered_map_index"] or "",
                each["state"] or "",
                each["try_number"],
                each["duration"],
            )
            for each in found
        ]

    def events(self, dag: str, dag_run: str) -> list[dict[str, Any]]:
        """What the run's tasks said of assets, newest first."""
        query = urllib.parse.urlencode({"source_dag_id": dag, "source_run_id": dag_run, "order_by": "-timestamp"})
        found: list[dict[str, Any]] = self.ask(f"/api/v2/assets/events?{query}")["asset_events"]
        return found

    def log(self, task: TaskInstance) -> list[str]:
        """What the task's last try said, a line each, without what Airflow says around every try."""
        path = f"/api/v2/dags/{task.dag}/dagRuns/{quote(task.dag_run)}/taskInstances/{task.task}/logs/{task.attempt}"
        content = self.ask(f"{path}?map_index={task.map_index}&full_content=true")["content"]
        return own([line if isinstance(line, str) else str(line["event"]) for line in content])

    def repeat(self, dag: str, dag_run: str) -> None:
        """Run what failed in a DAG run once more, and what waits for it."""
        body = {"dry_run": False, "dag_run_id": dag_run, "only_failed": True, "reset_dag_runs": True}
        self.ask(f"/api/v2/dags/{dag}/clearTaskInstances", body)


def own(lines: list[str]) -> list[str]:
    """The task's own lines: without Airflow's folded groups; all of them where the task itself said nothing."""
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
    """Airflow refuses a request; ``code`` is the HTTP status."""

    def __init__(self, code: int, cause: str) -> None:
        super().__init__(f"Airflow refuses: {cause}", "See: bin/pantheon logs --service airflow", 1)
        self.code = code


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def words(error: urllib.error.HTTPError) -> str:
    """The reason in an answer of Airflow's, else its status."""
    try:
        detail = json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
    if isinstance(detail, list):  # what FastAPI says of a field
        return "; ".join(f"{'.'.join(map(str, each.get('loc', [])))}: {each.get('msg')}" for each in detail)
    return str(detail)
