"""``pantheon models publish``: send a model built elsewhere to the workflow's environment, which checks it."""

import getpass
import os
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.model_moves import Move
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError

PICKLES = (".joblib", ".pkl", ".pickle")
LARGEST = 200_000_000  # bytes of all files, checked before copying; the workflow's own limits are lower
MOST = 200  # files


@dataclass(frozen=True)
class Chosen:
    """The files to publish: a bundle's folder, an ONNX file or a pickle, with its signature."""

    path: Path
    signature: Path | None

    @property
    def is_pickle(self) -> bool:
        return self.path.suffix in PICKLES

    @property
    def files(self) -> dict[str, Path]:
        """Files to send, by name in the archive: ``bundle/…``, ``model.onnx`` or ``model.joblib``, ``signature.json``.

        Raises:
            PantheonError: as ``files_of``.
        """
        if self.path.is_dir():
            sent = {f"bundle/{file.relative_to(self.path)}": file for file in files_of(self.path)}
        else:
            sent = {"model.joblib" if self.is_pickle else "model.onnx": self.path}
        return sent | ({"signature.json": self.signature} if self.signature else {})


@contextmanager
def packed(files: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a temporary tar archive of ``files``, given by their names in it.

    Raises:
        PantheonError: a file cannot be read, or changed in the meantime.
    """
    with tempfile.TemporaryFile() as made:  # without a name, so that nothing is left if this process is killed
        with tarfile.open(fileobj=made, mode="w", dereference=True) as archive:
            for name, file in files.items():
                try:
                    archive.add(file, name, recursive=False)
                except OSError as error:
                    cause = f"{file} cannot be read: {error.strerror or error}."
                    raise PantheonError(cause, "Try again when no program writes to it.", 1) from None
        made.flush()
        yield Path(f"/proc/self/fd/{made.fileno()}")


def files_of(folder: Path) -> list[Path]:
    """Return a bundle's files, without the store's manifest and hidden files.

    Raises:
        PantheonError: there are too many files, or one is not a regular file.
    """
    paths = []
    for path in sorted(folder.rglob("*")):
        if path.name == "manifest.json" or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PantheonError(f"{path} is not a regular file.", "A bundle may contain only files and folders.")
        if path.is_file():
            paths.append(path)
    if len(paths) > MOST:
        raise PantheonError(f"{folder} has {len(paths)} files.", f"A bundle has at most {MOST}.")
    return paths


def chosen(path: str, signature: str) -> Chosen:
    """Return the files to publish for ``path``.

    Raises:
        PantheonError: it cannot be published, is too large, or its signature is missing.
    """
    file, beside = Path(path).expanduser(), Path(signature).expanduser() if signature else None
    for each in (file, *([beside] if beside else [])):
        if not each.exists():
            raise PantheonError(f"{each} does not exist.", "Give model.onnx, a bundle's folder, or model.joblib.")
        if not (each.is_file() or (each is file and each.is_dir())):
            raise PantheonError(
                f"{each} is not a regular file.", "Give model.onnx, a bundle's folder, or model.joblib."
            )
        if not os.access(each, os.R_OK):
            raise PantheonError(f"{each} cannot be read by this user.", f"Check its permissions: ls -ld {each}")
    if file.is_dir():
        if not (file / "model.onnx").is_file():
            raise PantheonError(
                f"{file} has no model.onnx.", "A bundle is a folder with model.onnx and signature.json."
            )
        total = sum(each.stat().st_size for each in files_of(file))
    elif file.suffix == ".onnx" or file.suffix in PICKLES:
        total = file.stat().st_size
        if file.suffix == ".onnx" and not beside:
            raise PantheonError(
                "an ONNX file does not describe its inputs.",
                f"Add a signature: `models publish {shlex.quote(path)} --signature signature.json`",
            )
    else:
        raise PantheonError(f"{file} cannot be published.", "Give model.onnx, a bundle's folder, or model.joblib.")
    if total > LARGEST:
        raise PantheonError(f"{file} has {total / 1e6:.0f} MB.", f"At most {LARGEST / 1e6:.0f} MB can be published.")
    return Chosen(file, beside)


def publish(deployment: Deployment, engine: Engine, file: Chosen, model: str, alias: str, note: str) -> dict[str, Any]:
    """Check a model in the workflow's environment and publish it under ``alias``.

    Returns:
        ``{"model", "version", "alias", "checked", "answers"}``.

    Raises:
        PantheonError: the model failed a check, or was not published, or was published without the alias.
    """
    engine.prepare(["workflow"])
    files = file.files
    arguments = ["publish", "--files", str(len(files)), "--model", model, "--alias", alias]
    arguments += ["--by", getpass.getuser(), "--note", note, "--file", file.path.name]
    arguments += ["--trust"] if file.is_pickle else []
    result: dict[str, Any] = {}
    with terminal.steps() as steps, packed(files) as archive:
        steps.start("checking")
        try:
            Task(engine, "serving.external")(arguments, result.update, input=archive)
        except BaseException:
            steps.end("checking", "failed")
            raise
        steps.end("checking", note=result["checked"])
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
