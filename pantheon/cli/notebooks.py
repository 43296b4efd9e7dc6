"""The shipped notebooks in a deployment, where people work on them: what they wrote is never overwritten."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.jupyter_jobs import OTHERS, graph_of
from pantheon.tiers import ROOT
from pantheon.workflow.run import atomic, read_json, write_json

SHIPPED = ROOT / "notebooks"
RECORD = ".shipped.json"  # name → digest of what was brought last, beside the notebooks
LINKS = ("runs", "models", "data")  # so that JupyterLab's file browser shows them too


@dataclass
class Brought:
    """What ``bring`` did, by file name; ``kept`` are those that people changed, where we have a newer one."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def bring(state: Path, shipped: Path = SHIPPED, route: Mapping[str, str] | None = None) -> Brought:
    """Bring the shipped notebooks into ``state/notebooks``, and links to the runs, models and data.

    New ones are added, and one that was removed comes back: the workflow runs them. One that nobody changed is
    updated; that somebody only ran it is no change. The others stay as they are. With ``route``, those are left out
    that this deployment's workflow does not run.
    """
    folder = state / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        link = folder / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to(Path("..") / name, target_is_directory=True)
    record: dict[str, str] = read_json(folder / RECORD) if (folder / RECORD).exists() else {}
    before, found = dict(record), Brought()
    others = set() if route is None else set(OTHERS) - set(graph_of(route))
    for source in sorted(shipped.glob("*.ipynb")):
        if source.stem in others:
            continue
        name, copy, new = source.name, folder / source.name, digest(source)
        there = digest(copy) if copy.exists() else None
        if there is None:
            put(source, copy)
            found.added.append(name)
        elif there == new:
            pass
        elif there == record.get(name):
            put(source, copy)
            found.updated.append(name)
        elif record.get(name) != new:  # said once for each new version
            found.kept.append(name)
        record[name] = new
    if record != before:
        write_json(folder / RECORD, record)
    return found


def put(source: Path, copy: Path) -> None:
    with atomic(copy) as part:
        shutil.copyfile(source, part)


def digest(path: Path) -> str:
    """What people write of a notebook, as a hash: the cells' kinds, sources and tags, not what running it left."""
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        written = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("metadata", {}).get("tags", [])] for cell in cells
        ]
    except (ValueError, KeyError, TypeError, AttributeError):  # no notebook (any more): whoever did that meant it
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()
