"""Pipelines, for commands: compile a file, start runs, follow them, compare two; and the tier's run as a pipeline."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pantheon import terminal
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.summary import summary_note
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.kubeflow.client import Failed, Kubeflow
from pantheon.kubeflow.contract import DEFAULT_NAMESPACE, Object
from pantheon.kubeflow.pipelines import kinds
from pantheon.workflow.runs import Progress

RUNS = "pipelineruns"
POLL_SECONDS = 0.3
ENDED = ("done", "failed", "stopped")
MARKS = {"interrupted": "stopped", "skipped": "stopped"}


def compile_file(engine: Engine, file: Path, function: str = "") -> tuple[str, str]:
    """Compile a user's file in the environment of Kubeflow's service; return the pipeline's name and its YAML.

    Raises:
        PantheonError: it cannot be read, or has a mistake.
    """
    try:
        source = file.read_bytes()
    except OSError as error:
        raise PantheonError(f"{file} cannot be read: {error.strerror}.", "Name a file with a pipeline.", 1) from None
    found: dict[str, Any] = {}
    arguments = ["--called", file.name, *(["--function", function] if function else [])]
    Task(engine, "pantheon.kubeflow.pipelines.compiling", "kubeflow")(arguments, found.update, source)
    return str(found["name"]), str(found["yaml"])


def load(engine: Engine, given: str, function: str = "") -> Object:
    """Return what a run says of its pipeline: a file with code or a compiled one is sent along, a name is a reference.

    Raises:
        PantheonError: the file cannot be read, compiled or parsed.
    """
    import yaml

    path = Path(given)
    if path.suffix == ".py":
        text = compile_file(engine, path, function)[1]
    elif path.suffix in (".yaml", ".yml", ".json"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PantheonError(f"{given} cannot be read: {error}.", "Name a compiled pipeline.", 1) from None
    else:
        return {"pipelineRef": {"name": given}}
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{given}, line {mark.line + 1}" if mark else given
        raise PantheonError(f"{where}: {getattr(error, 'problem', None) or 'is not YAML'}.", "Correct it.") from None
    if not documents:
        raise PantheonError(f"{given} is empty.", "Name a compiled pipeline.")
    return {"pipelineSpec": documents[0]} | ({"platformSpec": documents[1]} if len(documents) > 1 else {})


def settings_of(given: list[str]) -> dict[str, str]:
    """Return ``NAME=VALUE …`` as parameters; the service reads each value as the type that its parameter has."""
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise PantheonError(f"{each!r} is not a parameter.", "Write NAME=VALUE.")
        found[name] = value
    return found


def start(client: Kubeflow, spec: Object, name: str, namespace: str = DEFAULT_NAMESPACE) -> None:
    """Apply a PipelineRun."""
    metadata = {"name": name, "namespace": namespace}
    manifest = {"apiVersion": kinds.OWN, "kind": "PipelineRun", "metadata": metadata, "spec": spec}
    client.apply(json.dumps(manifest).encode(), namespace)


def new_name(pipeline: str) -> str:
    """Return a name for a run, from its pipeline's name and the time."""
    stem = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in pipeline.lower()).strip("-")[
        :36
    ]
    return f"{stem or 'run'}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def new_id() -> str:
    """Return a new run ID of the workflow, of the form of ``pantheon.workflow.run.RUN_ID``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def follow(
    client: Kubeflow, name: str, namespace: str, describe: Callable[[Object, str], tuple[str, list[str]]] | None = None
) -> Object:
    """Show the steps of a run until it ends; return it.

    Args:
        describe: called with the run and a step that is done; returns what to say of it, and warnings.
    """
    reported: dict[str, tuple[str, int]] = {}
    with terminal.steps() as shown:

        def seen(found: Object) -> None:
            for step in found["status"].get("steps", []):
                news = (step["state"], step.get("attempts", 0))
                if reported.get(step["name"]) == news:
                    continue
                reported[step["name"]] = news
                if step["state"] == "running":
                    shown.start(step["name"])
                    continue
                said, notes = describe(found, step["name"]) if describe and step["state"] == "done" else ("", [])
                told = [
                    said,
                    step.get("error", ""),
                    step.get("note", ""),
                    "from the cache" if step.get("cached") else "",
                ]
                mark = MARKS.get(step["state"], step["state"])
                shown.end(step["name"], mark, ", ".join(filter(None, told)), step.get("seconds", 0.0))
                for note in notes:
                    terminal.warn(note)

        return client.follow(RUNS, name, seen, namespace)


def reason(found: Object) -> str:
    """Return why a run failed."""
    for each in found["status"].get("conditions", []):
        if each["type"] == "Failed" and each["status"] == "True":
            return str(each["message"])
    return "it did not say why."


class WorkflowRun:
    """The tier's run: the pipeline ``workflow``, under the run's ID.

    Args:
        look: returns the progress of a run of the workflow.
    """

    def __init__(self, client: Kubeflow, deployment: Deployment, look: Callable[[str], Progress]) -> None:
        self.client, self.deployment, self.look = client, deployment, look

    def run(self, parameters: dict[str, Any], again: str = "", new: str = "") -> dict[str, Any]:
        """Start a run and follow it to its end, or continue the run ``again``.

        Returns:
            ``outcome.json`` of the run, with the run ID under ``run``.

        Raises:
            PantheonError: a step failed.
            KeyboardInterrupt: after a message that the run goes on, and how to follow it again.
        """
        run = self.find(again) if again else new or new_id()
        name = f"workflow-{run}"
        if not again:
            start(self.client, {"pipelineRef": {"name": "workflow"}, "parameters": {**parameters, "run": run}}, name)
        elif kinds.state_of(self.client.get(RUNS, name)) in ("failed", "stopped"):
            self.client.act(RUNS, name, "resume")
        terminal.say(terminal.plain(f"run {run}: {parameters['dataset']}, the pipeline run {name}"))
        try:
            found = follow(self.client, name, DEFAULT_NAMESPACE, figures_of_stage)
        except KeyboardInterrupt:
            stop, again = f"bin/pantheon pipeline stop {name}", self.deployment.command("run", resume=run)
            terminal.say(terminal.plain(f"Kubeflow continues the run. To stop it: {stop}. To follow it again: {again}"))
            raise
        if kinds.state_of(found) != "done":
            cure = f"Its steps' logs: `pipeline logs {name} STEP`. To continue: `run --resume {run}`"
            raise PantheonError(reason(found), cure, 1)
        outcome = self.look(run).outcome
        if outcome is None:
            raise PantheonError(f"run {run} ended without an outcome.", f"To continue: `run --resume {run}`", 1)
        return {"run": run} | msgspec.structs.asdict(outcome)

    def find(self, run: str) -> str:
        """Return the ID of a run that Kubeflow has; ``latest`` is the newest.

        Raises:
            PantheonError: Kubeflow does not have it.
        """
        run = self.look(run).run if run == "latest" else run
        if not self.has(run):
            raise PantheonError(f"Kubeflow has no run {run!r}.", "List the runs: `runs`. Start one: `run`")
        return run

    def has(self, run: str) -> bool:
        """Return whether Kubeflow began this run; ``latest`` is the newest."""
        try:
            self.client.get(RUNS, f"workflow-{self.look(run).run if run == 'latest' else run}")
        except Failed as error:
            if error.code not in (404, 422):
                raise
            return False
        return True


def figures_of_stage(found: Object, step: str) -> tuple[str, list[str]]:
    """Return what a step's artifacts say of the stage that it ran: a short note, and warnings."""
    for each in found["status"].get("artifacts", []):
        if each["step"] == step and "stage" in each["metadata"]:
            metadata = {key: whole(value) for key, value in each["metadata"].items() if key not in ("run", "stage")}
            notes = json.loads(metadata.pop("notes", "[]"))
            return summary_note({key: value for key, value in metadata.items() if not _is_json(value)}), notes
    return "", []


def whole(value: Any) -> Any:
    """Return a whole number as such: the metadata of an artifact has only floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("[", "{")


def compare(one: Object, other: Object) -> list[tuple[str, str, str, str]]:
    """Return what two runs have, side by side: ``(section, name, value, value)``, equal parameters left out."""
    rows: list[tuple[str, str, str, str]] = []

    def add(section: str, ours: dict[str, Any], theirs: dict[str, Any], all_of_them: bool) -> None:
        for key in dict.fromkeys([*ours, *theirs]):
            left, right = _shown(ours.get(key)), _shown(theirs.get(key))
            if all_of_them or left != right:
                rows.append((section, key, left, right))

    add("parameter", one["status"].get("parameters", {}), other["status"].get("parameters", {}), False)
    add("metric", metrics(one), metrics(other), True)
    add("step (s)", seconds(one), seconds(other), True)
    return rows


def metrics(run: Object) -> dict[str, Any]:
    """Return the metrics of a run's artifacts, ``STEP · NAME`` → value."""
    kept = ("Metrics", "ClassificationMetrics")
    artifacts = [each for each in run["status"].get("artifacts", []) if each["type"] in kept]
    return {f"{each['step']} · {key}": value for each in artifacts for key, value in figures(each).items()}


def figures(artifact: Object) -> dict[str, Any]:
    """Return the metadata of an artifact without lists and objects, such as curves."""
    return {key: value for key, value in artifact["metadata"].items() if not isinstance(value, list | dict)}


def seconds(run: Object) -> dict[str, Any]:
    return {
        step["name"]: step.get("seconds", 0.0) for step in run["status"].get("steps", []) if step["state"] == "done"
    }


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def soak(client: Kubeflow, spec: Object, count: int, namespace: str, seconds: float) -> dict[str, Any]:
    """Start ``count`` runs at once and wait for all.

    Args:
        seconds: how long to wait.

    Returns:
        ``{"runs", "failed", "unfinished", "seconds", "slowest", "memory"}``: the most memory of a step, in bytes.
    """
    names = [new_name("soak") + f"-{place}" for place in range(count)]
    clock = time.monotonic()
    threads = []
    for name in names:
        one = json.loads(json.dumps(spec))
        if (one.get("pipelineRef") or {}).get("name") == kinds.BUILT_IN:
            one.setdefault("parameters", {}).setdefault("run", new_id())
        threads.append(threading.Thread(target=start, args=(client, one, name, namespace)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    found: dict[str, Object] = {}
    while len(found) < count and time.monotonic() - clock < seconds:
        for name in names:
            if name not in found and kinds.state_of(run := client.get(RUNS, name, namespace)) in ENDED:
                found[name] = run
        time.sleep(POLL_SECONDS)
    took = [duration(run) for run in found.values()]
    memory = [step.get("memory", 0) for run in found.values() for step in run["status"].get("steps", [])]
    failed = {name: reason(run) for name, run in found.items() if kinds.state_of(run) != "done"}
    return {
        "runs": count,
        "failed": failed,
        "unfinished": [name for name in names if name not in found],
        "seconds": round(time.monotonic() - clock, 1),
        "slowest": max(took, default=0.0),
        "memory": max(memory, default=0),
    }


def duration(run: Object) -> float:
    """Return the seconds of a run, from its start to its end; to now if it has not ended."""
    status = run.get("status", {})
    if not status.get("startTime"):
        return 0.0
    end = datetime.fromisoformat(status["completionTime"]) if status.get("completionTime") else datetime.now(UTC)
    return (end - datetime.fromisoformat(status["startTime"])).total_seconds()
