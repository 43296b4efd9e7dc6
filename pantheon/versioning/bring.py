"""A finished run's files in the repository: linked where the disk can, so that they take no room twice."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import pipeline
from pantheon.workflow.run import Run, read_json
from pantheon.workflow.spec import Spec

BLOCK = 1 << 30


def link(source: Path, target: Path) -> None:
    """``target`` with the content of ``source``: the same file on disk, a copy where that cannot be.

    DVC copies what it takes into its cache and puts a link to that in place of ``target``, so ``source`` never becomes
    a part of the cache: to write into it later does no harm there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # two file systems, or two mounts of one, as in containers
        copy(source, target)


def copy(source: Path, target: Path) -> None:
    """A copy that shares its blocks with ``source`` where the file system can (Btrfs, XFS)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("wb") as write:
        try:
            while os.copy_file_range(read.fileno(), write.fileno(), BLOCK):
                pass
        except OSError:
            read.seek(0)
            write.seek(0)
            write.truncate()
            shutil.copyfileobj(read, write, 1 << 20)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def outputs(run: Run, folder: Path) -> list[str]:
    """Put what the run's stages have written in place of what is there.

    Returns:
        The stages that have all their outputs in the run; what others would write is taken away.
    """
    whole = []
    for stage, names in pipeline.outputs().items():
        complete = all(run.path(name).exists() for name in names)
        for name in names:
            source, target = run.path(name), folder / name
            if name in pipeline.IN_GIT:
                continue  # with the other files of git's
            remove(target)
            if complete and source.is_dir():
                target.mkdir(parents=True)
                for file in sorted(path for path in source.rglob("*") if path.is_file()):
                    link(file, target / file.relative_to(source))
            elif complete:
                link(source, target)
        if complete:
            whole.append(stage)
    return whole


def texts(run: Run, folder: Path) -> dict[str, bytes]:
    """What git is to have of the run: path → content."""
    params = folder / "params.yaml"
    there = params.read_text(encoding="utf-8") if params.is_file() else ""
    found = {"spec.toml": run.path("spec.toml").read_bytes()}
    found["params.yaml"] = pipeline.params_text(run.params, there).encode()
    found |= {name: run.path(name).read_bytes() for name in pipeline.IN_GIT if run.path(name).exists()}
    by = {name: stage["by"] for name, stage in run.stages().items() if stage.get("by")}
    asked = run.asked | ({"by": by} if by else {})
    found["run.json"] = (json.dumps(asked, indent=1) + "\n").encode()
    for file in sorted(run.path("pycaret").glob("*.json")):  # what PyCaret's notebooks were asked
        found[f"pycaret/{file.name}"] = file.read_bytes()
    found["extensions/.gitkeep"] = b""
    for file in sorted(run.extensions.glob("*.py")) if run.extensions.is_dir() else []:
        found[f"extensions/{file.name}"] = file.read_bytes()
    return found


def origin(run: Run) -> tuple[str, str]:
    """The file of ``data/source`` as the run wants it: its name and sha256."""
    spec = Spec.read(run.path("spec.toml")).source
    if spec.kind == "file":
        sha256: str = read_json(run.path("reports/load_data.json"))["sha256"]
        return run.source(spec.path).name, sha256
    return "source.txt", hashlib.sha256(_made(run)).hexdigest()


def _made(run: Run) -> bytes:
    spec = Spec.read(run.path("spec.toml")).source
    return f"{spec.kind} {spec.name}: spec.toml says how its rows are made\n".encode()


def source(run: Run, folder: Path) -> None:
    """The file that the run's rows come from, in ``data/source``, bit for bit as it was when the run loaded it.

    Data that is generated or ships with scikit-learn has no such file; a line says so in its place.

    Raises:
        PantheonError: it was changed since; or a file of somebody's own lies in its place.
    """
    place, (name, sha256) = folder / pipeline.SOURCE, origin(run)
    if holds(place, name, sha256):
        return
    spec = Spec.read(run.path("spec.toml")).source
    if spec.kind != "file":
        _clear(place, folder)
        (place / name).write_bytes(_made(run))
        return
    path = run.source(spec.path)
    if not path.is_file() or _sha256(path) != sha256:
        raise PantheonError(
            f"{path} is not the file any more that run {run.id} has loaded.", "Run again: bin/pantheon run"
        )
    _clear(place, folder)
    link(path, place / name)


def holds(place: Path, name: str, sha256: str) -> bool:
    """Whether just this file lies in the folder ``place``."""
    return _files(place) == [place / name] and _sha256(place / name) == sha256


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else []


def _clear(place: Path, folder: Path) -> None:
    """Empty the folder of the source: only of what DVC's cache has.

    Raises:
        PantheonError: a file there is in no cache, so it is somebody's own.
    """
    for file in _files(place):
        with file.open("rb") as opened:
            md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if not (folder.parent / "cache" / "files" / "md5" / md5[:2] / md5[2:]).exists():
            raise PantheonError(
                f"{file} is in no commit, and a run's data would take its place.",
                f"Move it away, or keep it: cd {folder} && dvc commit && git commit -am mine. Then go on.",
            )
    remove(place)
    place.mkdir(parents=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
