"""The report of a comparison: assemble it from cells, read one and check it."""

import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon import __version__, files
from pantheon.compare import machine
from pantheon.compare.figures import VERSION
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, all_tiers

Report = dict[str, Any]
Figures = Mapping[str, Any]
EQUAL = 1e-9


def assemble(cells: Mapping[tuple[str, str], Figures], errors: Mapping[tuple[str, str], str], data: str) -> Report:
    """Return the report of these cells, by tier and engine.

    Args:
        errors: cells that could not be measured, and why.
        data: the dataset.
    """
    known = {tier.name: tier for tier in all_tiers()}
    named = [name for name in known if any(tier == name for tier, _ in (*cells, *errors))]
    whole = {name: {engine: cell for (tier, engine), cell in cells.items() if tier == name} for name in named}
    by_tier = {
        name: {engine: dict(cell) | {"metrics": _main(cell["metrics"])} for engine, cell in own.items()}
        for name, own in whole.items()
    }
    return {
        "version": VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "pantheon": __version__,
        "commit": commit(),
        "data": data or "robots",
        "machine": machine.describe(),
        "names": {
            name: {"number": known[name].number, "title": known[name].title, "adds": known[name].adds} for name in named
        },
        "tiers": by_tier,
        "errors": [{"tier": tier, "engine": engine, "why": why} for (tier, engine), why in errors.items()],
        "metrics_equal": not differences_of(whole),
    }


def _main(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a run's metrics what the report shows; all of them were compared."""
    return {key: metrics[key] for key in ("task", "chosen", "held_out") if key in metrics}


def commit() -> str:
    """Return the clone's commit, short, with ``-dirty`` if files were changed; empty without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cells_of(report: Report) -> Iterator[tuple[str, str, Figures]]:
    """Yield tier, engine and figures of every cell: engine by engine, each from the first tier to the last."""
    for engine in engines_of(report):
        for tier, by_engine in report["tiers"].items():
            if engine in by_engine:
                yield tier, engine, by_engine[engine]


def engines_of(report: Report) -> list[str]:
    return list(dict.fromkeys(engine for by_engine in report["tiers"].values() for engine in by_engine))


def differences_of(tiers: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    """Return the metrics in which a cell differs from the first one by more than 1e-9: ``zeus local: roc_auc``."""
    cells = [(f"{tier} {engine}", cell.get("metrics")) for tier, all_ in tiers.items() for engine, cell in all_.items()]
    first = cells[0][1] if cells else None
    return [f"{name}: {where}" for name, metrics in cells[1:] for where in differing(first, metrics)]


def differing(one: Any, two: Any, where: str = "") -> Iterator[str]:
    """Yield the places in which two JSON values differ, numbers by more than 1e-9."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted({*one, *two}):
            yield from differing(one.get(key), two.get(key), f"{where}.{key}" if where else key)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (left, right) in enumerate(zip(one, two, strict=True)):
            yield from differing(left, right, f"{where}[{index}]")
    elif isinstance(one, (int, float)) and isinstance(two, (int, float)):
        if abs(one - two) > EQUAL:
            yield where
    elif one != two:
        yield where


def read(path: Path) -> Report:
    """Read a report.

    Raises:
        PantheonError: the file is missing, is not a report, or a newer Pantheon wrote it.
    """
    cure = "Use AGAINST= with the report.json of an earlier `make compare`."
    try:
        found = files.read_json(path, cure)
    except OSError as error:
        raise PantheonError(f"the report {path} cannot be read: {error.strerror}.", cure) from None
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, int) or not isinstance(found.get("tiers"), dict):
        raise PantheonError(f"{path} is not a report of `compare`.", cure)
    if version > VERSION:
        cure = "Update Pantheon: git pull"
        raise PantheonError(f"{path} has version {version}, and this Pantheon reads up to {VERSION}.", cure)
    return dict(found)
