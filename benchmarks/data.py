"""load_data, clean_data and split_data against the same work by hand (`data_bare_polars.py`), side by side.

    python benchmarks/data.py [ROWS ...]

Each repeat runs both, one after the other, in processes of their own; what counts is the median. Seconds are those of
the work, without imports. Prints JSON.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pantheon.workflow.data.generate import write_robots_csv  # noqa: E402
from pantheon.workflow.data.spec_file import dump_spec, read_spec  # noqa: E402
from pantheon.workflow.run import Params, Run  # noqa: E402

BARE = [str(ROOT / "benchmarks" / "data_bare_polars.py")]
STAGES = ["-c", """
import json, sys, time
from pathlib import Path
from benchmarks.data_bare_polars import peak_mb
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from pantheon.workflow.run import Run
from pantheon.workflow.stages.split_data import split_data
run, parts, begin = Run(Path(sys.argv[1])), {}, time.perf_counter()
for stage in (load_data, clean_data, split_data):
    stage_begin = time.perf_counter()
    stage(run)
    parts[stage.__name__] = time.perf_counter() - stage_begin
print(json.dumps({"seconds": time.perf_counter() - begin, "peak_mb": peak_mb(), "stages": parts}))
"""]  # fmt: skip


def measure(rows: list[int], repeats: int = 3, threads: int = 2) -> dict[str, Any]:
    """Measure both at each number of rows.

    Returns:
        For each number of rows: rows a second of both, their ratio, the peak of memory in MB, microseconds a row; and
        whether both made the same clean table.
    """
    return {"threads": threads, "repeats": repeats, "sizes": [_one(count, repeats, threads) for count in rows]}


def bench() -> dict[str, Any]:
    """The figures of ``make bench``: at 100,000, 1,000,000 and 5,000,000 rows of CSV."""
    sizes = {size["rows"]: size for size in measure([100_000, 1_000_000, 5_000_000])["sizes"]}
    large, per_row = sizes[5_000_000], [size["microseconds_per_row"] for size in sizes.values()]
    figures: dict[str, Any] = {
        f"{rows:,} rows: rows a second, of bare Polars'": {"value": size["ratio"], **size}
        for rows, size in sizes.items()
    }
    figures["5,000,000 rows: rows a second, of bare Polars'"]["at_least"] = 0.6
    figures["5,000,000 rows: rows a second"] = {"value": large["rows_per_second"]}
    figures["5,000,000 rows: peak memory, MB"] = {"value": large["peak_mb"], "bar": 700}
    # Flat means that it does not grow; 0.05 s of a start (as bare Polars has it) show at 100,000 rows.
    figures["time a row at 5,000,000 against 100,000"] = {"value": per_row[-1] / per_row[0], "bar": 1.1}
    return figures


def _one(rows: int, repeats: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-data-") as scratch:
        source = Path(scratch) / "robots.csv"
        write_robots_csv(source, rows)
        spec = read_spec(ROOT / "datasets" / "robots.toml")
        spec = replace(spec, source=replace(spec.source, kind="file", path=str(source)))
        ours, bare, same = [], [], True
        for _ in range(repeats):
            run = Run.create(Path(scratch) / "state", dump_spec(spec), "robots", Params(threads=threads))
            by_hand = Path(scratch) / "bare"
            by_hand.mkdir()
            ours.append(_run([*STAGES, str(run.folder)], threads))
            bare.append(_run([*BARE, str(source), str(by_hand)], threads))
            same = same and _same(run.path("data/clean.parquet"), by_hand / "clean.parquet")
            shutil.rmtree(by_hand)
            shutil.rmtree(run.folder)
    seconds = statistics.median(one["seconds"] for one in ours)
    by_hand_seconds = statistics.median(one["seconds"] for one in bare)
    return {
        "rows": rows,
        "seconds": round(seconds, 3),
        "bare_seconds": round(by_hand_seconds, 3),
        "rows_per_second": round(rows / seconds),
        "bare_rows_per_second": round(rows / by_hand_seconds),
        "ratio": round(by_hand_seconds / seconds, 3),
        "peak_mb": round(max(one["peak_mb"] for one in ours)),
        "bare_peak_mb": round(max(one["peak_mb"] for one in bare)),
        "microseconds_per_row": round(1e6 * seconds / rows, 3),
        "stages": {
            name: round(statistics.median(one["stages"][name] for one in ours), 3) for name in ours[0]["stages"]
        },
        "same_clean_table": same,
    }


def _run(arguments: list[str], threads: int) -> dict[str, Any]:
    environment = os.environ | {"POLARS_MAX_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _same(one: Path, other: Path) -> bool:
    """Are the tables equal? Compared by a digest of each column, so that memory stays small."""
    digests = [
        pl.scan_parquet(path).select(pl.len(), pl.all().hash(7).sum().name.prefix("sum ")).collect(engine="streaming")
        for path in (one, other)
    ]
    return digests[0].equals(digests[1])


if __name__ == "__main__":
    print(json.dumps(measure([int(rows) for rows in sys.argv[1:]] or [100_000, 1_000_000, 5_000_000]), indent=1))
