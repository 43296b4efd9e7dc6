"""Write the parts of a view, lose a copy, and forget an entity; be killed (SIGKILL) before the n-th change of a file.

Each line of the input is a folder and n; the answer is a line with how the process ended.

Runs in the environment ``feast``. Each is a fork of this process, which has all modules and no threads yet.
"""

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pantheon.features.contract import Field, View
from pantheon.features.forgetting import remove
from pantheon.features.parts import Parts
from pantheon.store.place import FolderPlace
from tests.support.killing import killed

START = datetime(2026, 1, 1, tzinfo=UTC)
X, T = Field(name="x", column="x", type="number"), Field(name="t", column="t", type="text")
VIEW = View(name="robots", set="robots", kind="raw", key="id", entity="id", time="seen", fields=[X, T])


def load(folder: Path, name: str, ids: list[str], values: list[float]) -> None:
    path = folder / name
    content = {"id": ids, "event_timestamp": [START] * len(ids), "x": values, "t": ["a"] * len(ids)}
    pl.DataFrame(content).write_parquet(path)
    parts = Parts(FolderPlace(folder / "stored"), folder / "mirror")
    parts.write(VIEW, path, now=datetime(2026, 2, 1, tzinfo=UTC))


def work(folder: Path) -> None:
    load(folder, "first.parquet", ["7", "8"], [1.0, 2.0])
    shutil.rmtree(folder / "mirror" / "robots")  # as on a new disk
    load(folder, "second.parquet", ["7", "8", "9"], [1.0, 2.5, 3.0])
    parts = Parts(FolderPlace(folder / "stored"), folder / "mirror")
    remove([VIEW], parts, parts.gate.writing, "id", 8)


def main() -> None:
    for line in sys.stdin:
        folder, step = line.split()
        code = killed(work, Path(folder), int(step), but=("first.parquet", "second.parquet"))
        if code and not (child := os.fork()):  # repeated after a restart
            work(Path(folder))
            os._exit(0)
        if code:
            assert os.waitpid(child, 0)[1] == 0
        print(code, flush=True)


if __name__ == "__main__":
    main()
