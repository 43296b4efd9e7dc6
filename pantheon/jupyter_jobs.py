"""Runs notebooks through Jupyter's job API and keeps the executed copies with the run.

The standard library alone: Airflow's tasks, the command line and tests import it, each in an environment of its own.
"""

import http.client
import json
import os
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

# Notebook -> the notebooks whose results it reads; `graph_of` says which of them a deployment has.
NOTEBOOKS: dict[str, tuple[str, ...]] = {
    "feature_engineering": (),
    "feature_selection": (),
    "train": ("feature_engineering", "feature_selection"),
    "model_selection": ("train",),
    "hyperparameter_tuning": ("train",),
    "evaluate": ("model_selection", "hyperparameter_tuning"),
}
PYCARET: dict[str, tuple[str, ...]] = {
    "pycaret_features": (),
    "pycaret_train": ("pycaret_features",),
    "pycaret_tune": ("pycaret_train",),
    "pycaret_evaluate": ("pycaret_tune",),
}
PASSES = "This may pass by itself: run the cell again."  # shown below an error that is none of the input's
QUICK = "quick_preprocessing"  # before all others, where models are kept in S3
# Notebook -> the stages that it runs.
EVALUATE = ("evaluate", "performance_metrics", "model_comparison")
STAGES: dict[str, tuple[str, ...]] = {name: (name,) for name in NOTEBOOKS} | {"evaluate": EVALUATE}
OTHERS: dict[str, tuple[str, ...]] = {
    QUICK: ("preprocess",),
    "pycaret_features": ("feature_engineering", "feature_selection"),
    "pycaret_train": ("train", "model_selection"),
    "pycaret_tune": ("hyperparameter_tuning",),
    "pycaret_evaluate": EVALUATE,
}

INTERRUPTED = (
    "interrupted: its process was killed, or Jupyter was restarted"  # a job's message; such a job is posted anew
)
RUNNING = ("CREATED", "QUEUED", "IN_PROGRESS", "STOPPING")
POLL = 0.1  # seconds; a look is 2 ms of the server's time
PATIENCE = 90.0  # seconds that Jupyter may be away, for a restart
TRIES = 3  # of a job that is interrupted

OnState = Callable[[str], None]


def graph_of(route: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The notebooks of a deployment, each with those that it waits for, in an order in which they may be run.

    Args:
        route: who does what, as ``state/deployment.json`` has it; keys may be missing.
    """
    base = PYCARET if route.get("rest") == "pycaret" else NOTEBOOKS
    if route.get("models") != "s3":
        return dict(base)
    return {QUICK: ()} | {name: needs or (QUICK,) for name, needs in base.items()}


def stages_of(name: str) -> tuple[str, ...]:
    """The stages that the notebook ``name`` runs."""
    return (STAGES | OTHERS)[name]


def route_of(state: Path) -> dict[str, str]:
    """The route of the deployment with this state folder; empty where nothing was written yet."""
    try:
        found = json.loads((state / "state" / "deployment.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    route: dict[str, str] = found.get("route", {})
    return route


class Gone(Exception):
    """Jupyter does not know the job any more."""


@dataclass(frozen=True)
class Jupyter:
    """A Jupyter server.

    Attributes:
        url: such as ``http://127.0.0.1:8888``.
        token: sent in a header, so it is in no log.
        patience: seconds that it may be away.
    """

    url: str
    token: str
    patience: float = PATIENCE

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request; waits for a server that is starting. A request that was sent may have been heard: see ``post``.

        Returns:
            The status and the body, errors of the caller's (4xx) and the server's (5xx) too.

        Raises:
            PantheonError: nobody answered for ``patience`` seconds, or the token is refused.
        """
        end, wait = time.monotonic() + self.patience, 0.1
        request = urllib.request.Request(  # noqa: S310 - the caller's own http address
            self.url.rstrip("/") + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"token {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine or in its network
        while True:
            try:
                with opener.open(request, timeout=30) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                if error.code in (401, 403):
                    raise PantheonError(
                        f"Jupyter at {self.url} refuses the token.",
                        "secrets/jupyter_token of the deployment must be the one that Jupyter was started with.",
                        1,
                    ) from None
                if error.code not in (502, 503, 504):
                    return error.code, error.read()
                problem: Any = error
            except (OSError, http.client.HTTPException) as error:
                problem = getattr(error, "reason", error)
            if time.monotonic() >= end:
                raise PantheonError(
                    f"Jupyter at {self.url} does not answer: {problem}.",
                    "See whether it runs: bin/pantheon status; why not: bin/pantheon logs SERVICE=jupyter",
                    1,
                )
            time.sleep(wait)
            wait = min(wait * 1.5, 2.0)

    def get(self, path: str) -> Any:
        """A JSON answer. Raises Gone where there is no such thing."""
        status, body = self.ask("GET", path)
        if status >= 400:
            raise Gone(f"{status} for {path}")
        return json.loads(body)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/scheduler/jobs/{job_id}")
        return found

    def under_way(self, title: str) -> str:
        """The id of a job of this name that has not ended; empty if there is none."""
        query = urllib.parse.urlencode({"name": title})
        jobs = self.get(f"/scheduler/jobs?{query}")["jobs"]
        return next((job["job_id"] for job in jobs if job["name"] == title and job["status"] in RUNNING), "")

    def post(self, name: str, title: str, parameters: dict[str, str]) -> str:
        """A new job for ``NAME.ipynb``; its id.

        Raises:
            PantheonError: there is no such notebook, or Jupyter refuses it.
        """
        body = {
            "name": title,
            "input_uri": f"{name}.ipynb",
            "runtime_environment_name": "pantheon",
            "output_formats": ["ipynb"],
            "parameters": {key: json.dumps(value) for key, value in parameters.items()},  # they become Python source
        }
        status, answer = self.ask("POST", "/scheduler/jobs", body)
        if status >= 400:
            raise PantheonError(
                f"Jupyter takes no job for {name}.ipynb: {said(answer)}.",
                "Is the notebook there, with a kernel? A missing one comes back with `up`.",
                1,
            )
        made: str = json.loads(answer)["job_id"]
        return made

    def stop(self, job_id: str) -> None:
        self.ask("PATCH", f"/scheduler/jobs/{job_id}", {"status": "STOPPED"})

    def file(self, path: str) -> bytes:
        """A file below the notebooks' folder. Raises Gone where it is not there."""
        status, body = self.ask("GET", "/files/" + urllib.parse.quote(path))
        if status >= 400:
            raise Gone(f"{status} for {path}")
        return body


def said(answer: bytes) -> str:
    """What an answer of Jupyter's says in words."""
    try:
        words: str = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        words = answer.decode(errors="replace")
    return " ".join(words.split())[:300].rstrip(".")


def is_done(name: str, run_id: str, state: Path) -> bool:
    """Whether the notebook's stages are done in this run and the executed copy is there."""
    run = state / "runs" / run_id
    for stage in stages_of(name):
        try:
            if json.loads((run / "stages" / f"{stage}.json").read_text(encoding="utf-8"))["state"] != "done":
                return False
        except FileNotFoundError:
            return False
    return (run / "notebooks" / f"{name}.ipynb").exists()


def run_notebook(
    jupyter: Jupyter,
    name: str,
    run_id: str,
    state: Path,
    timeout: float = 3600.0,
    on_state: OnState = lambda state: None,
) -> Path:
    """Run a notebook of ``graph_of`` on a run, and keep the executed copy in ``runs/ID/notebooks/NAME.ipynb``.

    What is done already is not done again; a job that is under way for this run, from a caller that died, is taken
    over; a job that is interrupted, by a restart of Jupyter for example, is posted anew.

    Args:
        state: the deployment's state folder.
        timeout: seconds for all tries together; the job is stopped then.
        on_state: told ``QUEUED``, ``IN_PROGRESS``, ``COMPLETED`` … as they come.

    Returns:
        The executed copy.

    Raises:
        PantheonError: names the error of the cell that failed; its copy is kept as ``NAME.failed.ipynb``. Status 2
            where a cell failed, which a retry cannot help; 1 where that may pass by itself.
    """
    folder = state / "runs" / run_id / "notebooks"
    copy, failed = folder / f"{name}.ipynb", folder / f"{name}.failed.ipynb"
    if is_done(name, run_id, state):
        return copy
    title = f"{name} {run_id}"
    end = time.monotonic() + timeout
    for _ in range(TRIES):
        job_id = jupyter.under_way(title) or jupyter.post(name, title, {"RUN": run_id})
        try:
            job = wait(jupyter, job_id, end, on_state)
            executed = output(jupyter, job)
        except Gone:  # its record went with Jupyter's data
            continue
        if job["status"] == "COMPLETED" and executed:
            write(copy, executed)
            failed.unlink(missing_ok=True)
            return copy
        if job["status"] == "FAILED" and job.get("status_message") == INTERRUPTED:
            continue
        if executed:
            write(failed, executed)
        raise failure(name, run_id, job, executed)
    raise PantheonError(
        f"The notebook {name} of run {run_id} was interrupted {TRIES} times.",
        "See why Jupyter or its jobs are killed (memory?): bin/pantheon logs SERVICE=jupyter. Then run it again.",
        1,
    )


def wait(jupyter: Jupyter, job_id: str, end: float, on_state: OnState) -> dict[str, Any]:
    """Wait until a job has ended, at most until ``end`` (monotonic seconds); its record."""
    before = ""
    while True:
        job = jupyter.job(job_id)
        if job["status"] != before:
            before = job["status"]
            on_state(before)
        if before not in RUNNING:
            return job
        if time.monotonic() >= end:
            jupyter.stop(job_id)
            raise PantheonError(
                f"The job {job['name']!r} did not end in time and was stopped.",
                "Give it more time, or ask for fewer TRIALS. What is done already is kept.",
                1,
            )
        time.sleep(POLL)


def output(jupyter: Jupyter, job: dict[str, Any]) -> bytes:
    """The executed notebook of a job, the cells before an error too; empty where it wrote none."""
    paths = [file.get("file_path") for file in job["job_files"] if file["file_format"] == "ipynb"]
    return jupyter.file(paths[0]) if paths and paths[0] else b""


def failure(name: str, run_id: str, job: dict[str, Any], executed: bytes) -> PantheonError:
    """What went wrong, in the words of the cell that failed."""
    again = "Correct the cause and run it again: what is done is not repeated."
    if job["status"] == "STOPPED":
        return PantheonError(f"The notebook {name} of run {run_id} was stopped by somebody.", again, 1)
    where = f" The cells: runs/{run_id}/notebooks/{name}.failed.ipynb." if executed else ""
    error = cell_error(executed)
    words = in_words(error) or job.get("status_message") or "Jupyter says no more"
    status = 2 if error and PASSES not in error["traceback"] else 1
    return PantheonError(f"The notebook {name} of run {run_id} failed: {words.rstrip('.')}.{where}", again, status)


def cell_error(executed: bytes) -> dict[str, Any]:
    """The error that the executed notebook shows, as Jupyter has it; empty where it shows none."""
    if not executed:
        return {}
    outputs = [shown for cell in json.loads(executed)["cells"] for shown in cell.get("outputs", [])]
    return next((shown for shown in outputs if shown["output_type"] == "error"), {})


def in_words(error: Mapping[str, Any]) -> str:
    """A cell's error in a line; one of ours says all by itself."""
    if not error:
        return ""
    return str(error["evalue"] if error["ename"] == "PantheonError" else f"{error['ename']}: {error['evalue']}")


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
