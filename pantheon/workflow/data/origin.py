"""What a dataset was made from: its file, its target, and the spec as it was inferred, before users edited it.

A file's name does not identify a dataset: two folders may have a ``train.csv``, and a file may have several targets.
The record of the dataset NAME is ``STATE/data/.origin/NAME.json``.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.files import write_json

FOLDER = ".origin"
SHIPPED = Path(__file__).resolve().parents[3] / "datasets"
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """The origin of a dataset.

    Attributes:
        stem: the file's name in the form of a dataset's name.
        path: the file on the user's machine, absolute; a file in the deployment's ``data`` folder: its name there.
        sha256: of the file.
        target: the column that is predicted.
        header: "none" if no line of the file names the columns.
        inferred: the spec as it was inferred, as TOML; users edit ``NAME.toml``.
        source: fields of the source that the user set, by name: they are not detected again.
    """

    stem: str
    path: str
    sha256: str
    target: str
    header: str = ""
    inferred: str = ""
    source: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """A user's file, and what to do with it.

    Attributes:
        file: its name, such as ``Train.csv.gz``.
        path: as in ``Origin``.
        called: its path as the user typed it, for messages.
        target: the column to predict; empty: that of the dataset.
        header: "none" if no line of the file names the columns.
        infer: "again" to infer the columns anew.
        dataset: the dataset that the file belongs to; empty: the one that was made from this file.
    """

    file: str
    path: str
    called: str
    target: str = ""
    header: str = ""
    infer: str = ""
    dataset: str = ""


def slug(text: str) -> str:
    """Return a text in the form of a dataset's name: lower-case letters, digits and hyphens; "" if it has none."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def stem_of(file: str) -> str:
    """Return the name of a dataset after its file: ``Sales 2024.csv.gz`` gives ``sales-2024``."""
    path = Path(file)
    return slug(Path(path.stem).stem if path.suffix.lower() in PACKED else path.stem) or "data"


def bundled() -> dict[str, Path]:
    """Return the specs that ship with Pantheon, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def read_origin(state: Path, name: str) -> Origin | None:
    """Return the origin of a dataset; None if there is no readable record, as for datasets of earlier versions."""
    try:
        return msgspec.json.decode((state / "data" / FOLDER / f"{name}.json").read_bytes(), type=Origin)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_origin(state: Path, name: str, origin: Origin) -> None:
    write_json(state / "data" / FOLDER / f"{name}.json", msgspec.to_builtins(origin), mode=0o600)


def origins(state: Path) -> dict[str, Origin]:
    """Return the origin of every dataset that has a spec and a record."""
    names = [path.stem for path in sorted((state / "data" / FOLDER).glob("*.json"))]
    found = {name: read_origin(state, name) for name in names if (state / "data" / f"{name}.toml").is_file()}
    return {name: origin for name, origin in found.items() if origin}


def choose(state: Path, given: Given, sha256: str, current: str) -> tuple[str, list[str]]:
    """Return the dataset that a file belongs to: the one that was made from it, else a new one with an unused name.

    Args:
        sha256: of the file.
        current: the deployment's dataset: it is meant if several were made from the file, and no target is given.

    Returns:
        The dataset's name, and sentences about the choice.

    Raises:
        PantheonError: several datasets were made from the file, and no target is given.
    """
    stem, known = stem_of(given.file), origins(state)
    alike = {name: origin for name, origin in known.items() if origin.stem == stem}
    wanted = {name: origin for name, origin in alike.items() if given.target in ("", origin.target)}
    for same in (
        [name for name, origin in wanted.items() if origin.path == given.path],
        [name for name, origin in wanted.items() if origin.sha256 == sha256],
    ):
        if len(same) == 1 or current in same or (same and given.target):
            return current if current in same else same[0], []
        if same:
            listed = ", ".join(f"{name} (TARGET={known[name].target})" for name in same)
            raise PantheonError(f"{given.called} belongs to several datasets: {listed}.", "Add TARGET=.")
    name = _unused(state, given, given.target if alike else "")
    others = [other for other, origin in known.items() if origin.target == given.target]
    twin = next((other for other in others if known[other].sha256 == sha256), "")
    if twin:
        return name, [f"{given.called} is the dataset {name}; {twin} has the same content. To use that: DATASET={twin}"]
    other = next(iter(wanted), stem if stem in known else "")
    if other and known[other].target == given.target:
        where = f"{other} is made from another file, {known[other].path}"
        return name, [f"{given.called} is the dataset {name}: {where}. If it replaces that file: DATASET={other}"]
    if name != stem:
        return name, [f"{given.called} with the target {given.target!r} is the dataset {name}"]
    return name, []


def _unused(state: Path, given: Given, target: str) -> str:
    """Return an unused name: the stem, the stem with the target, or with a number."""
    stem = stem_of(given.file)
    files = [path for path in (state / "data").glob("*") if path.name not in (given.path, f"{stem}.draft")]
    taken = {path.name.split(".")[0].lower() for path in files} | bundled().keys()
    first = f"{stem}-{slug(target)}" if slug(target) else stem
    names = [stem, first, *(f"{first}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
