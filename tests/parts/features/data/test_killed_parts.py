"""kill -9 before every change of a file while parts are written, a copy is made again, and an entity is forgotten."""

import itertools
import os
import subprocess
from pathlib import Path

import polars as pl

from pantheon.engines.local import environments
from tests.support import ROOT


def test_killed_at_every_step(tmp_path: Path) -> None:
    environments.make(["feast"])
    program = ROOT / "tests" / "support" / "features_inside" / "killed_parts.py"
    command = [environments.folder_of("feast") / "bin" / "python", "-P", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        for step in itertools.count(1):
            folder = tmp_path / str(step)
            folder.mkdir()
            process.stdin.write(f"{folder} {step}\n")
            process.stdin.flush()
            ended = process.stdout.readline().strip()
            assert rows(folder / "mirror") == [("7", 1.0, "a"), ("9", 3.0, "a")], step
            stored, mirror = names(folder / "stored" / "robots"), names(folder / "mirror" / "robots")
            assert mirror == ["0-schema.parquet", *stored], step
            assert not list(folder.rglob("*.part")), step
            if ended == "0":
                break
            assert ended == "-9"
        process.stdin.close()
    assert step > 20, "so many changes there are, at least"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rows(mirror: Path) -> list[tuple[object, ...]]:
    """What Feast reads of each entity: the latest row."""
    frame = pl.concat([pl.read_parquet(path) for path in sorted((mirror / "robots").glob("*.parquet"))])
    latest = frame.sort("event_timestamp", "created").group_by("id").last()
    return sorted(latest.select("id", "x", "t").rows())
