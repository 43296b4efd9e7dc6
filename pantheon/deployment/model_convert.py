"""Convert a model of another library to ONNX, in an environment that is made only then, and without anything of ours.

The task has no network in a container, no secrets and no folder of the deployment; what it makes arrives as events.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pantheon import files, terminal
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.model_files import LARGEST, Chosen, packed
from pantheon.deployment.task import Task
from pantheon.engines import Engine, Options, open_engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

DEFINITION = ROOT / "compose" / "convert.yaml"
SCRATCH = ".convert-"  # in the state folder: the task's log, and what it made
MADE = ("model.onnx", "expected.npz")


class Parts:
    """Takes the events of a conversion, and writes the parts of files to ``folder``.

    Attributes:
        found: the last event: what is known of the model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.size = folder, 0
        self.opened: dict[str, IO[bytes]] = {}
        self.found: dict[str, Any] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "converted" and {"format", "sha256", "packages", "signature"} <= event.keys():
            self.found = event
            return
        name = event["file"]
        if event["event"] != "part" or name not in MADE:
            raise ValueError(f"{event['event']} of {name}")
        try:
            part = base64.b64decode(event["data"], validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        self.size += len(part)
        if self.size > LARGEST:
            raise PantheonError(f"the converted model has more than {LARGEST / 1e6:.0f} MB.", status=1)
        with (self.folder / name).open("ab") as file:
            file.write(part)


@contextmanager
def ready(deployment: Deployment, engine: Engine, file: Chosen, model: str) -> Iterator[Mapping[str, Path]]:
    """Yield the files to publish by name in the archive: those of ``file``, or what it is converted to.

    Args:
        engine: that of the deployment; the conversion runs on it too.

    Raises:
        PantheonError: the environment cannot be made, or the model cannot be converted.
    """
    if not file.kind.environment:
        yield file.files
        return
    with files.scratch(deployment.state, SCRATCH) as folder:
        (folder / "engine").mkdir()
        alone = open_engine(
            engine.name, Options(deployment.name, folder / "engine", DEFINITION, ROOT, echo=terminal.echo)
        )
        alone.prepare([file.kind.environment])
        parts = Parts(folder)
        sent = file.files
        arguments = ["--files", str(len(sent)), "--model", model, "--file", file.path.name]
        with terminal.steps() as steps, packed(sent) as archive:
            steps.start("converting")
            try:
                service = f"convert-{file.kind.environment}"
                Task(alone, "serving.external.conversion", service)(arguments, parts, input=archive)
            except BaseException:
                steps.end("converting", "failed")
                raise
            steps.end("converting", note=f"{file.kind.title} → ONNX")
        files.write_json(folder / "signature.json", parts.found["signature"])
        files.write_json(folder / "converted.json", {key: parts.found[key] for key in ("format", "sha256", "packages")})
        yield {name: folder / name for name in (*MADE, "signature.json", "converted.json")}
