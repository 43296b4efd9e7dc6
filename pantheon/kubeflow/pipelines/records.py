"""The steps of a pipeline run on disk: one folder per step, with its record, so that a restart runs no step again.

``FOLDER/steps/NAME/``: ``step.json`` (a ``Step``), ``outputs/`` (what the step wrote), ``work/`` (where it ran).
The log is a file of the run's folder of logs.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from kfp.local.cache import LocalCache, _MissingArtifactError

from pantheon.errors import PantheonError
from pantheon.files import write_json

ENDED = ("done", "failed", "skipped")


class Step(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A step of a run, as users see it.

    Attributes:
        name: unique in the run, such as ``train`` or ``candidate-2``.
        state: running, done, failed, skipped, or interrupted.
        cached: whether the outputs are those of an earlier step with the same code and inputs.
        attempts: how often it was started.
        started, finished: ISO 8601 in UTC.
        seconds: from its first start to its end.
        memory: the most memory of an attempt, in bytes.
        note: why it was skipped, or how often it was repeated.
        error: why it failed, as a sentence.
        inputs: its parameters.
        outputs: its parameters and artifacts, as ``kfp.local`` stores them in its cache.
        log: the file with what it printed, in the run's folder of logs.
    """

    name: str
    state: str
    cached: bool = False
    attempts: int = 0
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    memory: int = 0
    note: str = ""
    error: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    log: str = ""


class Records:
    """The steps of one run. Thread-safe.

    Args:
        folder: the run's folder.
        changed: called with all steps after each change, in the order of their first start.
    """

    def __init__(self, folder: Path, changed: Callable[[list[Step]], None]) -> None:
        self.folder, self.changed = folder, changed
        self.lock = threading.Lock()
        self.steps: dict[str, Step] = {}
        files = (folder / "steps").glob("*/step.json")
        for step in sorted((self._read(file) for file in files), key=lambda step: (step.started, step.name)):
            self.steps[step.name] = step

    def _read(self, file: Path) -> Step:
        try:
            return msgspec.json.decode(file.read_bytes(), type=Step)
        except msgspec.DecodeError as error:
            raise PantheonError(f"{file} is damaged: {error}.", "Delete the run, and start it again.", 1) from None

    def place(self, name: str) -> Path:
        return self.folder / "steps" / name

    def save(self, step: Step) -> None:
        """Write a step's record and report the change."""
        with self.lock:
            write_json(self.place(step.name) / "step.json", msgspec.to_builtins(step))
            self.steps[step.name] = step
            self.changed(list(self.steps.values()))

    def done(self, name: str) -> dict[str, Any] | None:
        """Return the outputs of a step that is done and whose artifacts exist; else None."""
        step = self.steps.get(name)
        if step is None or step.state != "done":
            return None
        try:
            return load(step.outputs)
        except _MissingArtifactError:
            return None


def dump(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return outputs as JSON, artifacts included."""
    found: dict[str, Any] = json.loads(json.dumps(LocalCache._serialize_outputs(outputs)))
    return found


def load(outputs: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = LocalCache._deserialize_outputs(outputs)
    return found


def artifacts(step: Step) -> list[dict[str, Any]]:
    """Return the artifacts of a step: ``{"step", "name", "type", "uri", "metadata"}``."""
    found = []
    for key, value in step.outputs.items():
        if not isinstance(value, dict):
            continue
        for one in value.get("artifacts", [value]) if "__kfp_artifact_list__" in value else [value]:
            if "__kfp_artifact__" in one:
                kind = str(one["schema_title"]).removeprefix("system.")
                found.append(
                    {"step": step.name, "name": key, "type": kind, "uri": one["uri"], "metadata": one["metadata"]}
                )
    return found
