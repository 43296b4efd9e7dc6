"""Copy the shipped notebooks into a deployment, where users edit them. Their changes are never overwritten.

``python -m pantheon.jupyter.notebooks --rest jupyter --models s3`` does this in the JupyterLab service's environment
and prints ``Copied`` as JSON: the command line may run on a machine without the deployment's notebooks.
"""

import argparse
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pantheon.files import atomic, read_json, write_json
from pantheon.jupyter.graph import DEFAULT, graph_of, notebooks
from pantheon.state import Route
from pantheon.tiers import ROOT

SHIPPED = ROOT / "notebooks"
RECORD = ".shipped.json"  # name → digest of the version copied last; stored beside the notebooks
LINKS = ("runs", "models", "data")  # so that JupyterLab's file browser shows them too


@dataclass
class Copied:
    """File names by what ``copy_shipped`` did; ``kept``: changed by a user, and a newer version exists."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def shipped(route: Route | None = None, folder: Path = SHIPPED) -> list[Path]:
    """Return the shipped notebooks; with ``route``, without those that this deployment's workflow does not run."""
    default = graph_of(Route(rest=DEFAULT))  # copied on every route, to read and to try
    others = set() if route is None else set(notebooks()) - set(default) - set(graph_of(route))
    return [path for path in sorted(folder.glob("*.ipynb")) if path.stem not in others]


def copy_shipped(state: Path, folder_of_shipped: Path = SHIPPED, route: Route | None = None) -> Copied:
    """Copy the shipped notebooks into ``state/notebooks``, and add links to the runs, models and data.

    New notebooks are added, and deleted ones are restored, because the workflow runs them. Unchanged notebooks are
    updated; running a notebook does not count as a change. Changed notebooks are kept. With ``route``, notebooks that
    this deployment's workflow does not run are left out.
    """
    folder = state / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        link = folder / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to(Path("..") / name, target_is_directory=True)
    record: dict[str, str] = read_json(folder / RECORD) if (folder / RECORD).exists() else {}
    before, result = dict(record), Copied()
    for source in shipped(route, folder_of_shipped):
        name, copy, new = source.name, folder / source.name, digest(source)
        current = digest(copy) if copy.exists() else None
        if current is None:
            put(source, copy)
            result.added.append(name)
        elif current == new:
            pass
        elif current == record.get(name):
            put(source, copy)
            result.updated.append(name)
        elif record.get(name) != new:  # reported once per new version
            result.kept.append(name)
        record[name] = new
    if record != before:
        write_json(folder / RECORD, record)
    return result


def put(source: Path, copy: Path) -> None:
    with atomic(copy) as part:
        shutil.copyfile(source, part)


def digest(path: Path) -> str:
    """Return a hash of the parts of a notebook that users edit: cell types, sources and tags, but not outputs."""
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        written = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("metadata", {}).get("tags", [])] for cell in cells
        ]
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ):  # not a notebook (any more)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(prog="pantheon.jupyter.notebooks", description=__doc__)
    parser.add_argument("--rest", required=True)
    parser.add_argument("--models", required=True)
    arguments = parser.parse_args()
    copied = copy_shipped(Path(os.environ["STATE_DIR"]), route=Route(rest=arguments.rest, models=arguments.models))
    print(json.dumps(asdict(copied)))


if __name__ == "__main__":
    main()
