"""``make bench``: measure this machine's figures, side by side with their reference.

    bin/dev bench                 everything
    bin/dev bench data serving    these parts only
    bin/dev bench --json FILE     the results in a file too

A part is a module of this name (with ``_`` for ``-``) that has ``bench() -> {figure: {"value", "bar", …}}``; ``bar`` is
the most, ``at_least`` the least. The part ``endpoint-load`` takes ten minutes (``LOAD_MINUTES`` in the environment).
"""

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

PARTS = (
    *("serving", "endpoint", "endpoint-load", "features", "data", "training", "runs", "store"),
    *("startup", "zeus", "odysseus", "versioning", "kubeflow", "katib", "kraken", "compose", "helm", "workshop"),
)


def machine() -> dict[str, Any]:
    """Return the description of this machine."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    return {
        "cpu": model or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "when": time.strftime("%Y-%m-%d %H:%M:%S%z"),
    }


def verdict(figure: dict[str, Any]) -> str:
    if "bar" in figure:
        return f"{'met' if figure['value'] <= figure['bar'] else 'MISSED'} (≤ {figure['bar']:g})"
    if "at_least" in figure:
        return f"{'met' if figure['value'] >= figure['at_least'] else 'MISSED'} (≥ {figure['at_least']:g})"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; the parts: {', '.join(PARTS)}")
    console = Console(soft_wrap=True)
    results: dict[str, Any] = {"machine": machine(), "figures": {}}
    console.print(", ".join(f"{k} {v}" for k, v in results["machine"].items()))
    for part in args.parts or PARTS:
        console.print(f"[bold]{part}[/] …")
        figures = importlib.import_module(f"benchmarks.{part.replace('-', '_')}").bench()
        results["figures"][part] = figures
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for column in ("figure", "value", "bar"):
            table.add_column(column, justify="right" if column == "value" else "left")
        for name, figure in figures.items():
            table.add_row(name, f"{figure['value']:.4g}", verdict(figure))
        console.print(table)
    text = json.dumps(results, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")
    missed = [n for part in results["figures"].values() for n, f in part.items() if "MISSED" in verdict(f)]
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
