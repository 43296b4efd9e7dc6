"""Run notebooks through Jupyter's job API and store the executed copies with the run.

Imported by Airflow's tasks, the command line and tests, each in a different environment.
"""

import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import write_bytes
from pantheon.jupyter.graph import stages_of
from pantheon.web.client import Answer, Client

TEMPORARY = "This error may be temporary: run the cell again."  # shown below an error that the input did not cause
INTERRUPTED = (
    "interrupted: its process was killed, or Jupyter was restarted"  # a job's status message; the job is posted again
)
RUNNING = ("CREATED", "QUEUED", "IN_PROGRESS", "STOPPING")
POLL_SECONDS = 0.1  # a request takes 2 ms of the server's time
RETRY_SECONDS = 90.0  # long enough for a restart of Jupyter
ATTEMPTS = 3  # for a job that is interrupted

OnState = Callable[[str], None]


class Gone(Exception):
    """The job or file does not exist in Jupyter (any more)."""


@dataclass(frozen=True)
class Jupyter:
    """A Jupyter server.

    Attributes:
        url: such as ``http://127.0.0.1:8888``.
        token: sent in a header, so it does not appear in logs.
        retry_seconds: how long to retry while the server does not answer.
    """

    url: str
    token: str
    retry_seconds: float = RETRY_SECONDS

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request; retry while the server does not answer. It may have processed a request that is repeated.

        Returns:
            The answer, including answers with status 4xx or 5xx.

        Raises:
            PantheonError: no answer for ``retry_seconds`` seconds, or Jupyter rejected the token.
        """
        cure = "See `bin/pantheon status` and `bin/pantheon logs --service jupyter`."
        client = Client(self.url, "Jupyter", cure, {"Authorization": f"token {self.token}"}, timeout=30)
        answer = client.ask(method, path, body, retry_seconds=self.retry_seconds)
        if answer.status in (401, 403):
            raise PantheonError(
                f"Jupyter at {self.url} rejected the token.",
                "Jupyter must have been started with the token in the deployment's secrets/jupyter_token.",
                1,
            )
        return answer

    def get(self, path: str) -> Any:
        """Return a JSON answer. Raises Gone if it does not exist."""
        answer = self.ask("GET", path)
        if not answer.ok:
            raise Gone(f"{answer.status} for {path}")
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        record: dict[str, Any] = self.get(f"/scheduler/jobs/{job_id}")
        return record

    def running_job(self, title: str) -> str:
        """Return the ID of an unfinished job of this name; empty if there is none."""
        query = urllib.parse.urlencode({"name": title})
        jobs = self.get(f"/scheduler/jobs?{query}")["jobs"]
        return next((job["job_id"] for job in jobs if job["name"] == title and job["status"] in RUNNING), "")

    def post(self, name: str, title: str, parameters: dict[str, str]) -> str:
        """Create a job for ``NAME.ipynb`` and return its ID.

        Raises:
            PantheonError: the notebook does not exist, or Jupyter rejected it.
        """
        body = {
            "name": title,
            "input_uri": f"{name}.ipynb",
            "runtime_environment_name": "pantheon",
            "output_formats": ["ipynb"],
            "parameters": {key: json.dumps(value) for key, value in parameters.items()},  # they become Python source
        }
        answer = self.ask("POST", "/scheduler/jobs", body)
        if not answer.ok:
            raise PantheonError(
                f"Jupyter did not accept a job for {name}.ipynb: {message(answer.data)}.",
                "Check that the notebook exists and names a kernel. `up` restores a missing notebook.",
                1,
            )
        job_id: str = answer.json()["job_id"]
        return job_id

    def stop(self, job_id: str) -> None:
        self.ask("PATCH", f"/scheduler/jobs/{job_id}", {"status": "STOPPED"})

    def file(self, path: str) -> bytes:
        """Return the content of a file in the notebooks' folder. Raises Gone if it does not exist."""
        answer = self.ask("GET", "/files/" + urllib.parse.quote(path))
        if not answer.ok:
            raise Gone(f"{answer.status} for {path}")
        return answer.data


def message(answer: bytes) -> str:
    """Return the message of a Jupyter answer, at most 300 characters."""
    try:
        text: str = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        text = answer.decode(errors="replace")
    return " ".join(text.split())[:300].rstrip(".")


def is_done(name: str, run_id: str, state: Path) -> bool:
    """Return whether the notebook's stages are done in this run and its executed copy exists."""
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
    """Run a notebook of ``graph_of`` on a run, and store the executed copy in ``runs/ID/notebooks/NAME.ipynb``.

    Finished notebooks do not run again. If a caller died and its job for this run is still running, that job is used.
    An interrupted job, for example after a restart of Jupyter, is posted again.

    Args:
        state: the deployment's state folder.
        timeout: seconds for all attempts together; then the job is stopped.
        on_state: called with ``QUEUED``, ``IN_PROGRESS``, ``COMPLETED`` … at every change.

    Returns:
        The executed copy.

    Raises:
        PantheonError: the notebook failed; names the error of the cell, and the copy is stored as
            ``NAME.failed.ipynb``. Status 2 if a cell failed and a retry cannot help; 1 if the error may be temporary.
    """
    folder = state / "runs" / run_id / "notebooks"
    copy, failed = folder / f"{name}.ipynb", folder / f"{name}.failed.ipynb"
    if is_done(name, run_id, state):
        return copy
    title = f"{name} {run_id}"
    end = time.monotonic() + timeout
    for _ in range(ATTEMPTS):
        job_id = jupyter.running_job(title) or jupyter.post(name, title, {"RUN": run_id})
        try:
            job = wait(jupyter, job_id, end, on_state)
            executed = output(jupyter, job)
        except Gone:  # Jupyter's data was deleted, and the job's record with it
            continue
        if job["status"] == "COMPLETED" and executed:
            write_bytes(copy, executed)
            failed.unlink(missing_ok=True)
            return copy
        if job["status"] == "FAILED" and job.get("status_message") == INTERRUPTED:
            continue
        if executed:
            write_bytes(failed, executed)
        raise failure(name, run_id, job, executed)
    raise PantheonError(
        f"The notebook {name} of run {run_id} was interrupted {ATTEMPTS} times.",
        "Check whether memory is short: `bin/pantheon logs --service jupyter`. Then run it again.",
        1,
    )


def wait(jupyter: Jupyter, job_id: str, end: float, on_state: OnState) -> dict[str, Any]:
    """Wait until a job has ended, at most until ``end`` (monotonic seconds). Return its record."""
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
                f"The job {job['name']!r} did not finish in time and was stopped.",
                "Run it again with fewer TRIALS. Finished stages are kept.",
                1,
            )
        time.sleep(POLL_SECONDS)


def output(jupyter: Jupyter, job: dict[str, Any]) -> bytes:
    """Return the executed notebook of a job, also if a cell failed; empty if the job wrote none."""
    paths = [file.get("file_path") for file in job["job_files"] if file["file_format"] == "ipynb"]
    return jupyter.file(paths[0]) if paths and paths[0] else b""


def failure(name: str, run_id: str, job: dict[str, Any], executed: bytes) -> PantheonError:
    """Describe why the notebook failed, with the error of the failed cell."""
    again = "Fix the cause and run it again: finished stages are not repeated."
    if job["status"] == "STOPPED":
        return PantheonError(f"The notebook {name} of run {run_id} was stopped by a user.", again, 1)
    where = f" See the cells in runs/{run_id}/notebooks/{name}.failed.ipynb." if executed else ""
    error = cell_error(executed)
    text = as_text(error) or job.get("status_message") or "Jupyter gave no reason"
    status = 2 if error and TEMPORARY not in error["traceback"] else 1
    return PantheonError(f"The notebook {name} of run {run_id} failed: {text.rstrip('.')}.{where}", again, status)


def cell_error(executed: bytes) -> dict[str, Any]:
    """Return the error output of the executed notebook in Jupyter's format; empty if no cell failed."""
    if not executed:
        return {}
    outputs = [output for cell in json.loads(executed)["cells"] for output in cell.get("outputs", [])]
    return next((output for output in outputs if output["output_type"] == "error"), {})


def as_text(error: Mapping[str, Any]) -> str:
    """Render a cell's error in one line; a PantheonError without its type's name."""
    if not error:
        return ""
    return str(error["evalue"] if error["ename"] == "PantheonError" else f"{error['ename']}: {error['evalue']}")
