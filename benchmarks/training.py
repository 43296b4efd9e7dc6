"""The training stages against the same work by hand (`train_by_hand.py`), side by side, and their metrics compared.

    python benchmarks/training.py [ROWS ...]

Each repeat runs both, one after the other, in processes of their own; what counts is the median of the ratios. Seconds
are those of the work, without imports: preprocess to evaluate. What the script does not do (slices, plots, comparison,
ONNX, its check, publishing) is reported apart. Prints JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BY_HAND = ROOT / "benchmarks" / "train_by_hand.py"
BARS = {5_000: 1.15, 500_000: 1.05}
SAME = 1e-9
STAGES = """
import importlib, json, sys, time
from pathlib import Path
from pantheon.store import FolderStore
from pantheon.workflow.run import Run
import pantheon.workflow.bundle.write, pantheon.workflow.training.plots
run = Run(Path(sys.argv[1]))
store, found, used = FolderStore(run.state / "models"), {}, {}
names = ["preprocess", "feature_engineering", "feature_selection", "train", "model_selection", "hyperparameter_tuning",
         "evaluate", "performance_metrics", "model_comparison", "deploy"]
stages = {name: getattr(importlib.import_module(f"pantheon.workflow.stages.{name}"), name) for name in names}
for name, stage in stages.items():
    clock, cpu = time.perf_counter(), time.process_time()
    stage(run, store) if name in ("model_comparison", "deploy") else stage(run)
    found[name], used[name] = time.perf_counter() - clock, time.process_time() - cpu
print(json.dumps({"seconds": found, "cpu": used}))
"""
DATA = """
import sys
from pathlib import Path
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from pantheon.workflow.run import Run
from pantheon.workflow.stages.split_data import split_data
run = Run(Path(sys.argv[1]))
load_data(run), clean_data(run), split_data(run)
"""
APART = ("performance_metrics", "model_comparison", "deploy")


def measure(rows: int, repeats: int) -> dict[str, Any]:
    """Both sides on ``rows`` robots, ``repeats`` times."""
    from pantheon.workflow.data.spec_file import dump_spec, read_spec
    from pantheon.workflow.run import Params, Run

    ours, by_hand, greatest = [], [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        spec = read_spec(ROOT / "datasets" / "robots.toml")
        spec = replace(spec, source=replace(spec.source, rows=rows))
        for _ in range(repeats):
            run = Run.create(Path(scratch) / "state", dump_spec(spec), "robots", Params())
            _run(["-c", DATA, str(run.folder)])
            ours.append(json.loads(_run(["-c", STAGES, str(run.folder)], GOMP_SPINCOUNT="1000")))  # as tasks.py
            parts = [str(run.path(f"data/{part}.parquet")) for part in ("train", "test")]
            by_hand.append(json.loads(_run([str(BY_HAND), *parts])))
            greatest = max(greatest, difference(run, by_hand[-1]))
    trained = [sum(s for name, s in one["seconds"].items() if name not in APART) for one in ours]
    cpu = [sum(s for name, s in one["cpu"].items() if name not in APART) for one in ours]
    written = [sum(one["seconds"].values()) for one in by_hand]
    return {
        "rows": rows,
        "ratio": statistics.median(one / other for one, other in zip(trained, written, strict=True)),
        "seconds": statistics.median(trained),
        "by_hand_seconds": statistics.median(written),
        "cpu_seconds": statistics.median(cpu),
        "by_hand_cpu_seconds": statistics.median(one["cpu_seconds"] for one in by_hand),
        "stages": {
            name: round(statistics.median(one["seconds"][name] for one in ours), 3) for name in ours[0]["seconds"]
        },
        "by_hand": {
            name: round(statistics.median(one["seconds"][name] for one in by_hand), 3) for name in by_hand[0]["seconds"]
        },
        "greatest_difference": greatest,
    }


def difference(run: Any, by_hand: dict[str, Any]) -> float:
    """The greatest difference of any figure; infinite when another model was chosen."""
    from pantheon.files import read_json

    metrics = read_json(run.path("metrics.json"))
    ranking = {entry["name"]: entry["mean"] for entry in read_json(run.path("selection.json"))["ranking"]}
    tuned = {name: entry["best"]["mean"] for name, entry in read_json(run.path("tuning.json"))["families"].items()}
    if metrics["chosen"] != by_hand["chosen"]:
        return float("inf")
    pairs = [(metrics["held_out"][name], value) for name, value in by_hand["metrics"].items()]
    pairs += [(metrics["params"][name], value) for name, value in by_hand["params"].items()]
    pairs += [(ranking[name], value) for name, value in by_hand["selection"].items()]
    pairs += [(tuned[name], value) for name, value in by_hand["tuned"].items()]
    return max(abs(one - other) for one, other in pairs)


def _run(arguments: list[str], **settings: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def bench(rows: list[int] | None = None) -> dict[str, Any]:
    """The figures of ``make bench``; 500,000 rows take some minutes."""
    figures: dict[str, Any] = {}
    for count in rows or list(BARS):
        found = measure(count, repeats=3)
        name = f"{count:,} robots"
        figures[f"training against the script by hand, {name} (x)"] = {
            "value": found["ratio"],
            **({"bar": BARS[count]} if count in BARS else {}),
            **found,
        }
        figures[f"greatest difference of a figure, {name}"] = {"value": found["greatest_difference"], "bar": SAME}
        figures[f"training stages, {name} (s)"] = {"value": found["seconds"]}
        apart = sum(found["stages"][stage] for stage in APART)
        figures[f"apart: metrics, plots, comparison, ONNX and its check, deploy, {name} (s)"] = {"value": apart}
    return figures


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(json.dumps(bench([int(rows) for rows in sys.argv[1:]]), indent=1))
