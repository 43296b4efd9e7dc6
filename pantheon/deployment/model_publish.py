"""``pantheon models publish``: send a model built elsewhere to the workflow's environment, which checks it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment import model_convert
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.model_files import Chosen, packed
from pantheon.deployment.model_moves import Move
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.processes import whoami


def publish(deployment: Deployment, engine: Engine, file: Chosen, model: str, alias: str, note: str) -> dict[str, Any]:
    """Convert a model to ONNX if it needs that, check it in the workflow's environment and publish it under ``alias``.

    Returns:
        ``{"model", "version", "alias", "checked", "answers"}``.

    Raises:
        PantheonError: the model failed a check, or was not published, or was published without the alias.
    """
    engine.prepare(["workflow"])
    with model_convert.ready(deployment, engine, file, model) as files:
        result = send(engine, file, files, model, alias, note)
    version = result["version"]
    answers = None
    if alias == "champion":
        answers = Move(deployment, engine, model).serve(version)
    else:
        other = "" if model == deployment.settings.dataset else model
        promote = deployment.command("models promote", version, model=other)
        terminal.say(
            f"[yellow]●[/] {terminal.plain(model)} version {terminal.plain(version)} is the {terminal.plain(alias)}."
        )
        terminal.say(f"  To serve it: {terminal.plain(promote)}")
    return {key: result[key] for key in ("model", "version", "alias", "checked")} | {"answers": answers}


def send(engine: Engine, file: Chosen, files: Mapping[str, Path], model: str, alias: str, note: str) -> dict[str, Any]:
    """Send ``files`` to the workflow's environment, which checks and publishes them; return what it reports."""
    arguments = ["publish", "--files", str(len(files)), "--model", model, "--alias", alias]
    arguments += ["--by", whoami(), "--note", note, "--file", file.path.name]
    result: dict[str, Any] = {}
    with terminal.steps() as steps, packed(files) as archive:
        steps.start("checking")
        try:
            Task(engine, "serving.external")(arguments, result.update, input=archive)
        except BaseException:
            steps.end("checking", "failed")
            raise
        steps.end("checking", note=result["checked"])
    return result
