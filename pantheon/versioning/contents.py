"""Put a run's files into a repository: those for DVC as links where possible, those for git as text."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from msgspec import to_builtins

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.versioning import pipeline
from pantheon.versioning.worktree import under
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run

BLOCK = 1 << 30


def link(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``source``, or a copy if that is not possible.

    DVC copies files into its cache and replaces ``target`` with a link to that copy, so ``source`` is never part of
    the cache: later writes to it do not damage the cache.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # two file systems, or two mounts of one, as in containers
        copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy a file with its times, sharing blocks with ``source`` if the file system can (Btrfs, XFS)."""
    with files.atomic(target) as part, source.open("rb") as read, part.open("wb") as write:
        try:
            while os.copy_file_range(read.fileno(), write.fileno(), BLOCK):
                pass
        except OSError:
            read.seek(0)
            write.seek(0)
            write.truncate()
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
        stat = source.stat()
        os.utime(write.fileno(), ns=(stat.st_atime_ns, stat.st_mtime_ns))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def outputs(run: Run, folder: Path) -> list[str]:
    """Link the outputs of the run's stages, and remove what was in their place.

    Returns:
        The stages whose outputs are complete.
    """
    complete = []
    for stage, names in pipeline.outputs().items():
        is_complete = all(run.path(name).exists() for name in names)
        for name in names:
            source, target = run.path(name), folder / name
            if name in pipeline.IN_GIT:
                continue  # written with the other files for git
            remove(target)
            if is_complete and source.is_dir():
                target.mkdir(parents=True)
                for file in sorted(path for path in source.rglob("*") if path.is_file()):
                    link(file, target / file.relative_to(source))
            elif is_complete:
                link(source, target)
        if is_complete:
            complete.append(stage)
    return complete


def texts(run: Run, folder: Path) -> dict[str, bytes]:
    """Return the run's files for git: path → content.

    Raises:
        PantheonError: ``params.yaml`` in ``folder`` is malformed.
    """
    params = folder / "params.yaml"
    before = params.read_text(encoding="utf-8") if params.is_file() else ""
    found = {"spec.toml": run.path("spec.toml").read_bytes()}
    found["params.yaml"] = pipeline.params_text(run.params, before).encode()
    found |= {name: run.path(name).read_bytes() for name in pipeline.IN_GIT if run.path(name).exists()}
    by = {name: record.by for name, record in run.records().items() if record.by}
    request = to_builtins(run.record) | ({"by": by} if by else {})
    found["run.json"] = (json.dumps(request, indent=1) + "\n").encode()
    for file in sorted(run.path("pycaret").glob("*.json")):  # the options of PyCaret's notebooks
        found[f"pycaret/{file.name}"] = file.read_bytes()
    found["extensions/.gitkeep"] = b""
    for file in sorted(run.extensions.glob("*.py")) if run.extensions.is_dir() else []:
        found[f"extensions/{file.name}"] = file.read_bytes()
    return found


def source(run: Run, folder: Path) -> None:
    """Put the source file of the run's rows into ``data/source``, as it was when the run loaded it.

    Generated data and datasets of scikit-learn have no source file; a file with one line replaces it. An existing
    file is kept if it is the same, so that DVC does not hash it again.

    Raises:
        PantheonError: the file has changed since.
    """
    place, spec = folder / pipeline.SOURCE, read_spec(run.path("spec.toml")).source
    if spec.kind != "file":
        text = f"{spec.kind} {spec.name}: spec.toml says how its rows are made\n".encode()
        if not _holds(place, "source.txt", hashlib.sha256(text).hexdigest()):
            remove(place)
            files.write_bytes(place / "source.txt", text)
        return
    path, sha256 = run.source(spec.path), read_json(run.path("reports/load_data.json"))["sha256"]
    if _holds(place, path.name, sha256):
        return
    if not path.is_file() or files.sha256(path) != sha256:
        raise PantheonError(f"{path} has changed since run {run.id} loaded it.", "Run again: `bin/pantheon run`")
    remove(place)
    link(path, place / path.name)


def _holds(place: Path, name: str, sha256: str) -> bool:
    """Return whether the folder ``place`` contains exactly this file."""
    return not place.is_symlink() and list(under(place)) == [place / name] and files.sha256(place / name) == sha256
