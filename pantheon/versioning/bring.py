"""A finished run's files in the repository: linked where the disk can, so that they take no room twice."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import pipeline
from pantheon.workflow.run import Run, atomic, read_json
from pantheon.workflow.spec import Spec

BLOCK = 1 << 30
PART = re.compile(r"\..*\.part")  # what a stage, or a copy here, has half-written
Seen = Mapping[Path, tuple[int, int, int]]  # a file that may be removed → its inode, bytes and mtime in ns


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
    """A copy that shares its blocks with ``source`` where the file system can (Btrfs, XFS); it keeps the time."""
    with atomic(target) as part, source.open("rb") as read, part.open("wb") as write:
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


# What lies where a run's files go ------------------------------------------------------------------------------------


def places() -> list[str]:
    """The files and folders that DVC keeps."""
    return [pipeline.SOURCE, *(n for names in pipeline.outputs().values() for n in names if n not in pipeline.IN_GIT)]


def under(place: Path) -> Iterator[Path]:
    """Every file and every link at ``place`` or below."""
    if place.is_symlink() or place.is_file():
        yield place
        return
    for root, folders, names in os.walk(place):
        for path in (Path(root, name) for name in (*sorted(names), *folders)):
            if path.is_symlink() or not path.is_dir():
                yield path


def cache_of(folder: Path) -> Path:
    """DVC's cache of the repository ``folder``; people may have it elsewhere."""
    for name in ("config.local", "config"):
        config = ConfigParser(interpolation=None, strict=False)
        try:
            config.read(folder / ".dvc" / name, encoding="utf-8")
        except ConfigError:
            continue
        if place := config.get("cache", "dir", fallback=""):
            return (folder / ".dvc" / place.strip("\"'")).resolve()
    return folder.parent / "cache"


def strangers(folder: Path, names: Sequence[str]) -> list[str]:
    """Files in these places that DVC's cache does not have: to remove one would lose it."""
    cache = cache_of(folder)
    found = [path for name in names for path in under(folder / name) if not _cached(path, cache)]
    return [str(path.relative_to(folder)) for path in found]


def _cached(path: Path, cache: Path) -> bool:
    if not path.is_file():  # a link to a folder, or to nothing
        return False
    if PART.fullmatch(path.name) and not path.is_symlink():
        return True
    with path.open("rb") as opened:
        md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return (cache / "files" / "md5" / md5[:2] / md5[2:]).is_file()


def seen(folder: Path) -> Seen:
    """Every file in the places, as it is now."""
    return {path: _figures(path) for name in places() for path in under(folder / name)}


def _figures(path: Path) -> tuple[int, int, int]:
    stat = path.lstat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def clear(place: Path, known: Seen) -> None:
    """Remove what is at ``place``: only what was looked at before and is as it was.

    Raises:
        PantheonError: a file was put there since.
    """
    for path in under(place):
        if known.get(path) != _figures(path):
            raise PantheonError(
                f"{path} was put there while a run is being recorded, whose data would take its place.",
                "Move it away. Then go on: bin/pantheon run --resume ID",
            )
    remove(place)


def figures(run: Run) -> dict[str, tuple[int, int]]:
    """The files that ``outputs`` brings: path in the repository → bytes, mtime in ns; a link or a copy has the same."""
    found = {}
    for names in pipeline.outputs().values():
        if all(run.path(name).exists() for name in names):
            for path in (path for name in names if name not in pipeline.IN_GIT for path in _files(run.path(name))):
                found[str(path.relative_to(run.folder))] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def take_back(folder: Path, brought: Mapping[str, Sequence[int]]) -> None:
    """Remove what ``outputs`` brought, where it still is that: the run has it."""
    for name, (size, time) in brought.items():
        path = folder / name
        if path.is_file() and not path.is_symlink() and _figures(path)[1:] == (size, time):
            path.unlink()


# What a run brings ----------------------------------------------------------------------------------------------------


def outputs(run: Run, folder: Path, known: Seen) -> list[str]:
    """Put what the run's stages have written in place of what is there, of the ``known`` files alone.

    Returns:
        The stages that have all their outputs in the run; what others would write is taken away.

    Raises:
        PantheonError: as ``clear``.
    """
    whole = []
    for stage, names in pipeline.outputs().items():
        complete = all(run.path(name).exists() for name in names)
        for name in names:
            source, target = run.path(name), folder / name
            if name in pipeline.IN_GIT:
                continue  # with the other files of git's
            clear(target, known)
            if complete and source.is_dir():
                target.mkdir(parents=True)
                for file in _files(source):
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


def weight(run: Run) -> int:
    """Bytes of the file of ``data/source``; 0 where it is away."""
    spec = Spec.read(run.path("spec.toml")).source
    if spec.kind != "file":
        return len(_made(run))
    path = run.source(spec.path)
    return path.stat().st_size if path.is_file() else 0


def source(run: Run, folder: Path, known: Seen) -> None:
    """The file that the run's rows come from, in ``data/source``, bit for bit as it was when the run loaded it.

    Data that is generated or ships with scikit-learn has no such file; a line says so in its place.

    Raises:
        PantheonError: it was changed since; or as ``clear``.
    """
    place, (name, sha256) = folder / pipeline.SOURCE, origin(run)
    if holds(place, name, sha256):
        return
    spec = Spec.read(run.path("spec.toml")).source
    path = run.source(spec.path) if spec.kind == "file" else None
    if path and (not path.is_file() or _sha256(path) != sha256):
        raise PantheonError(
            f"{path} is not the file any more that run {run.id} has loaded.", "Run again: bin/pantheon run"
        )
    clear(place, known)
    place.mkdir(parents=True)
    if path:
        link(path, place / name)
    else:
        with atomic(place / name) as part:
            part.write_bytes(_made(run))


def holds(place: Path, name: str, sha256: str) -> bool:
    """Whether just this file lies in the folder ``place``."""
    return not place.is_symlink() and list(under(place)) == [place / name] and _sha256(place / name) == sha256


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
