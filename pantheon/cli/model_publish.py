"""``pantheon models publish``: a model built elsewhere, handed to the workflow's environment to be checked there."""

import getpass
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from pantheon.cli import envs, show, workflow
from pantheon.cli.deployment import Deployment
from pantheon.cli.model_moves import Move
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier

PICKLES = (".joblib", ".pkl", ".pickle")
LARGEST = 200_000_000  # bytes of all files, before anything is copied; the workflow's own limits are lower
MOST = 200  # files


@dataclass(frozen=True)
class Chosen:
    """What a person wants to publish: a bundle's folder, an ONNX file or a pickle, with its signature."""

    path: Path
    signature: Path | None

    @property
    def is_pickle(self) -> bool:
        return self.path.suffix in PICKLES

    def copy_to(self, folder: Path) -> None:
        """Everything into ``folder``: ``bundle/``, ``model.onnx`` or ``model.joblib``, and ``signature.json``."""
        if self.path.is_dir():
            for file in files_of(self.path):
                target = folder / "bundle" / file.relative_to(self.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        else:
            shutil.copyfile(self.path, folder / ("model.joblib" if self.is_pickle else "model.onnx"))
        if self.signature:
            shutil.copyfile(self.signature, folder / "signature.json")


def files_of(folder: Path) -> list[Path]:
    """A bundle's files, without what is a store's own or hidden.

    Raises:
        PantheonError: there are too many, or one is no plain file.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.name == "manifest.json" or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PantheonError(f"{path} is no plain file.", "A bundle has files and folders only.")
        if path.is_file():
            found.append(path)
    if len(found) > MOST:
        raise PantheonError(f"{folder} has {len(found)} files.", f"A bundle has at most {MOST}.")
    return found


def chosen(path: str, signature: str) -> Chosen:
    """What ``path`` is.

    Raises:
        PantheonError: it is nothing that can be published, too large, or its signature is missing.
    """
    file, beside = Path(path).expanduser(), Path(signature).expanduser() if signature else None
    for each in (file, *([beside] if beside else [])):
        if not each.exists():
            raise PantheonError(f"there is no {each}.", "Give model.onnx, a bundle's folder, or model.joblib.")
        if not (each.is_file() or (each is file and each.is_dir())):
            raise PantheonError(f"{each} is no plain file.", "Give model.onnx, a bundle's folder, or model.joblib.")
        if not os.access(each, os.R_OK):
            raise PantheonError(f"{each} may not be read.", f"See: ls -ld {each}")
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
                "an ONNX file does not say what its inputs mean.",
                f"Give its signature: bin/pantheon models publish {path} --signature signature.json",
            )
    else:
        raise PantheonError(f"{file} is nothing that can be published.", "Give .onnx, .joblib, or a bundle's folder.")
    if total > LARGEST:
        raise PantheonError(f"{file} has {total / 1e6:.0f} MB.", f"At most {LARGEST / 1e6:.0f} MB can be published.")
    return Chosen(file, beside)


def warn(file: Chosen) -> None:
    """What loading a pickle means, plainly."""
    show.say(
        f"[yellow]![/] {escape(str(file.path))} is a pickle. Loading it runs whatever code is in it, with the "
        "rights of the workflow:\n  it can read this deployment's data and keys. Load only what comes from someone you "
        "trust.\n"
        "  Once it is loaded it is converted; what is published and served is ONNX, which runs no code."
    )


def publish(
    deployment: Deployment, tier: Tier, engine: Engine, file: Chosen, model: str, alias: str, note: str
) -> dict[str, Any]:
    """Check it in the workflow's environment and publish it under ``alias``.

    Returns:
        ``{"model", "version", "alias", "checked", "answers"}``.

    Raises:
        PantheonError: it did not pass, or could not be published; or it was, without the alias, which is said.
    """
    envs.prepare(engine, ["workflow"])
    data = deployment.state / "data"
    data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".publish-", dir=data))
    said: dict[str, Any] = {}
    try:
        file.copy_to(folder)
        for path in (folder, *folder.rglob("*")):  # a container runs as another user
            path.chmod(0o755 if path.is_dir() else 0o644)
        arguments = ["publish", "--folder", str(folder), "--model", model, "--alias", alias]
        arguments += ["--by", getpass.getuser(), "--note", note, "--file", file.path.name]
        with show.steps() as steps:
            steps.start("checking")
            try:
                workflow.Task(engine)([*arguments, *(["--trust"] if file.is_pickle else [])], said.update)
            except BaseException:
                steps.end("checking", "failed")
                raise
            steps.end("checking", note=said["checked"])
    finally:
        shutil.rmtree(folder)
    version = said["version"]
    answers = None
    if alias == "champion":
        answers = Move(deployment, tier, engine, model).serve(version)
    else:
        show.say(f"[yellow]●[/] {model} version {version} is the {alias}.")
        other = "" if model == deployment.settings.dataset else f" --model {model}"
        show.say(f"  To have it serve: bin/pantheon models promote {version}{other}")
    return {key: said[key] for key in ("model", "version", "alias", "checked")} | {"answers": answers}
