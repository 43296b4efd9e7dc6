"""What is distributed otherwise than in the reference, two windows in a row: inputs and predictions. It is a ticket."""

import msgspec

from pantheon.monitoring.baseline import Baseline
from pantheon.monitoring.drift import LEAST_ROWS, limit, psi
from pantheon.monitoring.findings import Findings
from pantheon.monitoring.report import Column, Mix
from pantheon.monitoring.statistics import share
from pantheon.monitoring.window import Seen

IN_A_ROW = 2
SHOWN = 3


def drift(column: Column, seen: Seen, baseline: Baseline, findings: Findings, see: str) -> Column:
    """Compare an input with the reference."""
    bins = baseline.model.bins.get(column.name)
    if bins is None or baseline.reference is None:
        return column
    described = baseline.reference.columns[column.name]
    counts = dict(seen.columns[column.name].bins) if column.name in seen.columns else {}
    known = round(described.rows * (1 - described.missing))
    index, top, windows = _compare("drift", column.name, counts, dict(bins.shares), known, findings)
    if windows >= IN_A_ROW and index is not None:
        findings.alert(
            "ticket",
            "drift",
            column.name,
            f'"{column.name}" is distributed otherwise than in the reference in {windows} windows in a row: PSI '
            f"{index:.2f}, above {top:.2f}. {_moved(counts, dict(bins.shares))}",
            f"whether the world has changed, or a source of the data; then, whether predictions became worse: `{see}`",
        )
    return msgspec.structs.replace(column, psi=index, limit=top, windows=windows)


def mix(seen: Seen, baseline: Baseline, findings: Findings, see: str) -> Mix | None:
    """Compare the predictions with those for the held-out rows."""
    bins = baseline.model.bins.get("")
    if bins is None or baseline.reference is None or baseline.reference.predictions is None:
        return None
    counts, shares = dict(seen.mix), dict(bins.shares)
    rows = sum(counts.values())
    index, top, windows = _compare("predictions", "", counts, shares, baseline.reference.predictions.rows, findings)
    if windows >= IN_A_ROW and index is not None:
        findings.alert(
            "ticket",
            "predictions",
            "",
            f"The model predicts otherwise than for the held-out rows of its training in {windows} windows in a row: "
            f"PSI {index:.2f}, above {top:.2f}. {_moved(counts, shares)}",
            f"which inputs have moved (they are ranked), and feedback about these predictions: `{see}`",
        )
    parts = {name: share((rows, counts.get(name, 0))) for name in dict.fromkeys([*shares, *counts])}
    return Mix(parts, shares, index, top, windows)


def _compare(
    check: str, name: str, counts: dict[str, int], shares: dict[str, float], known: int, findings: Findings
) -> tuple[float | None, float | None, int]:
    """Return the index, its limit, and the windows in a row above it; None if there are too few rows yet."""
    if known < LEAST_ROWS:
        return None, None, 0
    key = f"{check}\t{name}"
    waiting = findings.memory.bins.get(key, {}) if findings.follows and (check == "drift" or findings.same) else {}
    together = {each: waiting.get(each, 0) + counts.get(each, 0) for each in dict.fromkeys([*waiting, *counts])}
    rows = sum(together.values())
    if rows < LEAST_ROWS:
        findings.bins[key] = together if findings.follows else findings.memory.bins.get(key, {})
        findings.undecided.add((check, name))
        return None, None, findings.strike(key, None)
    index, top = psi(shares, known, together), limit(rows, known, len(shares))
    return index, top, findings.strike(key, index > top)


def _moved(counts: dict[str, int], shares: dict[str, float]) -> str:
    """Return a sentence about the bins that moved most."""
    rows = sum(counts.values())
    if not rows:
        return ""
    now = {name: counts.get(name, 0) / rows for name in dict.fromkeys([*shares, *counts])}
    far = sorted(now, key=lambda name: -abs(now[name] - shares.get(name, 0.0)))[:SHOWN]
    return (
        "Most changed: " + ", ".join(f"{name} {now[name]:.1%} (was {shares.get(name, 0.0):.1%})" for name in far) + "."
    )
