"""Runs a stage of the workflow in the workflow's own environment, as a child of the task that asks for it."""

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

PR_SET_PDEATHSIG = 1
SOURCE = Path(__file__).resolve().parents[2]
OWN = ("AIRFLOW", "PG", "PYTHON", "MALLOC_", "_")  # prefixes of variables that are Airflow's, not the workflow's
libc = ctypes.CDLL(None, use_errno=True)


def run_stage(
    name: str, run: str, asked: dict[str, Any], say: Callable[[str], None], command: list[str] | None = None
) -> dict[str, Any]:
    """Run one stage; make the run first where it is not there.

    Args:
        asked: ``dataset``, ``params``, ``tier`` and ``runner`` of the run.
        say: is told each line for people.
        command: instead of the workflow's Python; for tests.

    Returns:
        The stage's summary: a few figures to show.

    Raises:
        PantheonError: what is wrong, in the stage's words; status 2 where the input is, so that a retry cannot help.
    """
    python = [f"{os.environ['WORKFLOW_ENVIRONMENT']}/bin/python", "-P", "-m", "pantheon.tasks"]
    words = [*(command or python), "stage", name, "--run", run, "--create", json.dumps(asked)]
    parent = os.getpid()

    def die_with_parent() -> None:  # a task that is killed takes its stage along, and the stage tidies up
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)

    child = subprocess.Popen(
        words,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=die_with_parent,  # in the task's process group, so that what ends the group ends it too
    )
    summary: dict[str, Any] = {}
    problem: PantheonError | None = None
    last = ""
    assert child.stdout
    try:
        for line in child.stdout:
            event = parse(line)
            if event.get("event") == "stage" and event.get("state") == "done":
                summary = event["summary"]
            elif event.get("event") == "error":
                problem = PantheonError(event["cause"], event["cure"], event["status"])
            if text := in_words(event):
                say(text)
                last = text
        status = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        child.stdout.close()
    if problem:
        raise problem
    if status:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"
        raise PantheonError(f"{name} {how}; its last words: {last or 'none'}.", "It is tried again.", 1)
    return summary


def surroundings() -> dict[str, str]:
    """The workflow's environment variables: ours without Airflow's settings and Python's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
    home = os.environ["WORKFLOW_ENVIRONMENT"]
    path = f"{home}/bin:/usr/local/bin:/usr/bin:/bin"
    return kept | {"PATH": path, "VIRTUAL_ENV": home, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}


def parse(line: str) -> dict[str, Any]:
    """A line of a stage's output as an event; what is none becomes ``{"event": "text"}``."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": "text", "text": line.rstrip()}


def in_words(event: dict[str, Any]) -> str:
    """An event for people; empty for what they need not read. Errors are said by who catches them."""
    match event.get("event"):
        case "stage" if event["state"] == "done":
            figures = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in event["summary"].items())
            return f"{event['stage']} is done in {event['seconds']} s: {figures}"
        case "stage" if event["state"] == "running":
            return f"{event['stage']} begins, run {event['run']}"
        case "interrupted":
            return "interrupted; what was half-written is removed"
        case "text":
            return str(event["text"])
        case _:
            return ""
