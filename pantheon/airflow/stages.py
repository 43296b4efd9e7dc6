"""Run a stage of the workflow in the workflow's environment, as a child process of the Airflow task."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.engines.tasks import Lines, pump
from pantheon.errors import PantheonError
from pantheon.events import Reader
from pantheon.processes import bound_to_me
from pantheon.workflow.memory import IN_SERVICE

SOURCE = Path(__file__).resolve().parents[2]
AIRFLOW_PREFIXES = ("AIRFLOW", "PG", "PYTHON", "MALLOC_", "_")  # variables that the workflow must not inherit


def run_stage(
    name: str, run: str, options: dict[str, Any], say: Callable[[str], None], command: list[str] | None = None
) -> dict[str, Any]:
    """Run one stage. Create the run first if it does not exist.

    Args:
        options: ``dataset``, ``params``, ``tier`` and ``runner`` of the run.
        say: called with every line to display.
        command: replaces the workflow's Python; for tests.

    Returns:
        The stage's summary: a few figures to display.

    Raises:
        PantheonError: the stage failed; carries the stage's error. Status 2 if the input is wrong, so that a retry
            cannot help.
    """
    python = [f"{os.environ['WORKFLOW_ENVIRONMENT']}/bin/python", "-P", "-m", "pantheon.worker"]
    arguments = [*(command or python), "stage", name, "--run", run, "--create", json.dumps(options)]
    child = subprocess.Popen(
        arguments,
        env=workflow_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # if the task is killed, its stage gets SIGTERM and cleans up; it is in the task's process group too
        preexec_fn=bound_to_me(signal.SIGTERM),
    )
    summary: dict[str, Any] = {}

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "stage" and event["state"] == "done":
            summary.update(event["summary"])
        if text := as_text(event):
            say(text)

    reader = Reader(f"the stage {name}", on_event, say)
    assert child.stdout and child.stderr
    try:
        pump(child, {
            child.stdout.fileno(): Lines(lambda line: reader.line(line.decode(errors="replace"))),
            child.stderr.fileno(): Lines(lambda line: reader.text(line.decode(errors="replace"))),
        })  # fmt: skip
        status = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        child.stdout.close()
        child.stderr.close()
    try:
        reader.check(status)
    except KeyboardInterrupt:
        raise PantheonError(f"the stage {name} was interrupted.", "Airflow retries it.", 1) from None
    return summary


def workflow_environment() -> dict[str, str]:
    """Return the stage's environment variables: this process's without the settings of Airflow and its Python."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(AIRFLOW_PREFIXES)}
    home = os.environ["WORKFLOW_ENVIRONMENT"]
    path = f"{home}/bin:/usr/local/bin:/usr/bin:/bin"
    return kept | {
        "PATH": path,
        "VIRTUAL_ENV": home,
        "PYTHONPATH": str(SOURCE),
        "PYTHONUNBUFFERED": "1",
        IN_SERVICE: "1",
    }


def as_text(event: dict[str, Any]) -> str:
    """Render an event as a line of text; empty for events that are not displayed. The caller reports errors."""
    match event.get("event"):
        case "stage" if event["state"] == "done":
            figures = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in event["summary"].items())
            done = f"{event['stage']} finished in {event['seconds']} s: {figures}"
            notes = [*event.get("notes", []), *([event["note"]] if event.get("note") else [])]
            return ". ".join([done, *notes])
        case "stage" if event["state"] == "running":
            return f"{event['stage']} started, run {event['run']}"
        case "interrupted":
            return "interrupted; incomplete files are removed"
        case _:
            return ""
