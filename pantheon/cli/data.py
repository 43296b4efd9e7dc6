"""``DATA=``: a bundled dataset by its name, or the user's own file, brought into the deployment with a spec."""

import difflib
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.tiers import ROOT
from pantheon.workflow.run import atomic

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xls", ".xlsb", ".ods")


@dataclass(frozen=True)
class Dataset:
    """What to train on: name and spec; where there is no spec yet, the copy to infer it from and ``DATA=`` as asked."""

    name: str
    spec: Path
    infer_from: Path | None = None
    target: str = ""
    asked: str = ""


def bundled() -> dict[str, Path]:
    return {path.stem: path for path in sorted((ROOT / "datasets").glob("*.toml"))}


def spec_of(state: Path, name: str) -> Path:
    """The spec of a dataset that this deployment knows: its own, which people edit, before the bundled one."""
    own = state / "data" / f"{name}.toml"
    if own.exists():
        return own
    if name in bundled():
        return bundled()[name]
    raise PantheonError(
        f"there is no dataset {name!r}.", f"Bundled: {', '.join(bundled())}; or give DATA=your.csv TARGET=column."
    )


def choose(state: Path, data: str, target: str) -> Dataset:
    """Turn ``DATA=`` and ``TARGET=`` into a dataset of the deployment; a file is copied into it.

    Raises:
        PantheonError: the file is missing, empty, a folder, or of a kind that is not read; or no target is named.
    """
    if data in bundled() or (state / "data" / f"{data}.toml").exists():
        spec = spec_of(state, data)
        known = tomllib.loads(spec.read_text(encoding="utf-8"))["target"]["column"]
        if target and target != known:
            raise PantheonError(
                f"{data} predicts {known!r}, not {target!r}.",
                f"Leave TARGET out, or give the file itself: DATA=… TARGET={target}",
            )
        return Dataset(data, spec)
    file = Path(data).expanduser()
    check_file(file, data)
    name = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "data"
    if name in bundled():
        name += "-file"
    copy = bring(file, state / "data" / f"{name}{file.suffix.lower()}")
    spec = state / "data" / f"{name}.toml"
    if spec.exists():
        known = tomllib.loads(spec.read_text(encoding="utf-8"))["target"]["column"]
        if not target or target == known:
            return Dataset(name, spec)
    return Dataset(name, spec, infer_from=copy, target=target, asked=data)


def check_file(file: Path, data: str) -> None:
    if not file.exists():
        siblings = [p.name for p in file.parent.glob("*")] if file.parent.is_dir() else []
        near = difflib.get_close_matches(file.name, siblings, n=1) or difflib.get_close_matches(data, bundled(), n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise PantheonError(
            f"{data}: there is no such file.", f"{hint}DATA= takes a file or one of: {', '.join(bundled())}."
        )
    if file.is_dir():
        raise PantheonError(
            f"{data} is a folder, not a file.", "Give one CSV, Parquet or Excel file: DATA=folder/file.csv"
        )
    if not os.access(file, os.R_OK):
        raise PantheonError(f"{data} cannot be read by this user.", f"Check its mode: ls -l {data}")
    if file.stat().st_size == 0:
        raise PantheonError(f"{data} is empty.", "Give a file with a header line and rows.")
    if file.suffix.lower() not in SUFFIXES:
        raise PantheonError(
            f"{data}: files ending in {file.suffix or 'nothing'!r} are not read.", f"Known: {' '.join(SUFFIXES)}"
        )


def bring(file: Path, copy: Path) -> Path:
    """The deployment's copy of the user's file; made anew only when the file changed."""
    there, here = file.stat(), copy.stat() if copy.exists() else None
    if here is None or (here.st_size, here.st_mtime_ns) != (there.st_size, there.st_mtime_ns):
        with atomic(copy) as part:
            shutil.copy2(file, part)
            part.chmod(0o600)
    return copy
