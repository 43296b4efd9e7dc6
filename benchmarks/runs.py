"""Whole runs of wide and of long data, from the file to the deployed model, with two tuning trials.

    python -m benchmarks.runs [NAME ...]

Each run is made of the commands that every tier runs: one takes the file and infers its spec, one runs all stages.
Seconds include the start of both processes. Prints JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parent.parent
TRIALS = 2


class Size(NamedTuple):
    """A table to train on: its shape, the number of classes, and the most seconds that its run may take."""

    rows: int
    columns: int
    classes: int
    bar: float


SIZES = {
    "63 x 2,308": Size(63, 2308, 4, 60),
    "63 x 4,616": Size(63, 4616, 4, 120),
    "5,000 x 500": Size(5000, 500, 2, 60),
    "1,000,000 x 8": Size(1_000_000, 8, 2, 120),
}


def write(path: Path, size: Size) -> None:
    """Write a CSV file of numbers, some of which differ between the classes of the target ``y``."""
    random = np.random.default_rng(0)
    y = random.integers(0, size.classes, size.rows)
    shifts = np.zeros((size.classes, size.columns - 1))
    telling = max(3, size.columns // 50)
    shifts[:, :telling] = random.normal(0, 0.8, (size.classes, telling))
    X = (random.normal(size=(size.rows, size.columns - 1)) + shifts[y]).round(4)
    names = [f"x{place}" for place in range(X.shape[1])]
    frame = pl.DataFrame(X, schema=names).with_columns(y=pl.Series([f"c{value}" for value in y]))
    frame.write_csv(path)


def measure(size: Size) -> dict[str, Any]:
    """Run one table.

    Returns:
        The seconds of both commands and those of the processor, the seconds of each stage, and the version that was
        deployed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-runs-") as scratch:
        state, file = Path(scratch) / "state", Path(scratch) / "table.csv"
        state.mkdir()
        write(file, size)
        clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        name = take(state, file)
        took = time.perf_counter() - clock
        events = run(state, name)
        seconds = time.perf_counter() - clock
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        outcome = next(event for event in events if event["event"] == "outcome")
        stages = {
            event["stage"]: event["seconds"]
            for event in events
            if event["event"] == "stage" and event["state"] == "done"
        }
        return {
            "seconds": seconds,
            "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "taking_the_file": took,
            "stages": stages,
            "version": outcome["version"],
        }


def take(state: Path, file: Path) -> str:
    """Take a file as a dataset whose target is ``y``; return its name."""
    known = file.stat()
    about = ["--size", str(known.st_size), "--modified", str(known.st_mtime_ns), "--called", file.name]
    with file.open("rb") as content:
        taken = _worker(state, "dataset", "--file", file.name, "--target", "y", *about, stdin=content)
    return str(next(event["name"] for event in taken if event["event"] == "dataset"))


def run(state: Path, dataset: str) -> list[dict[str, Any]]:
    """Run all stages; return their events."""
    return _worker(state, "run", "--dataset", dataset, "--params", json.dumps({"trials": TRIALS}))


def _worker(state: Path, *arguments: str, stdin: Any = subprocess.DEVNULL) -> list[dict[str, Any]]:
    environment = {**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pantheon.worker", *arguments],
        env=environment,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [event for event in events if event["event"] == "error"]
    if done.returncode or failed:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}: {failed}\n{done.stderr[-4000:]}")
    return events


def bench(names: list[str] | None = None) -> dict[str, Any]:
    """The figures of ``make bench``."""
    figures: dict[str, Any] = {}
    for name in names or list(SIZES):
        found = measure(SIZES[name])
        figures[f"{name}: from the file to the deployed model (s)"] = {
            "value": found["seconds"],
            "bar": SIZES[name].bar,
            **found,
        }
    return figures


if __name__ == "__main__":
    print(json.dumps(bench(sys.argv[1:]), indent=1))
