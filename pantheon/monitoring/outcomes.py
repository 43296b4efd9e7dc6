"""What came of the predictions: how good they were, by feedback; and whether a group is treated otherwise."""

from pantheon.monitoring import fairness
from pantheon.monitoring.baseline import Baseline
from pantheon.monitoring.fairness import Counts
from pantheon.monitoring.findings import Findings
from pantheon.monitoring.performance import judge
from pantheon.monitoring.report import Fairness, Group, Measure
from pantheon.monitoring.statistics import Count
from pantheon.monitoring.window import Cell, Judged, Seen

ENOUGH = {"rate": 500, "accuracy": 300}  # rows, of fewer windows together if need be
COVERED = 0.2  # of the rows: with less feedback, and no past, who complains may be all who speak
SEPARATOR = "\t"


def performance(found: Judged, rows: int, baseline: Baseline, findings: Findings, see: str) -> list[Measure]:
    """Check how good the predictions were.

    Args:
        rows: that were answered in the window.
    """
    together = _with_waiting(found, findings)
    if not together.right[0] and not together.errors[0]:
        findings.undecided.add(("performance", "accuracy" if baseline.model.classes else "mae"))
        findings.strike("performance", None)
        findings.keep("judged")
        return []
    names = ("accuracy", "error", "error²")
    verdict = judge(
        together, baseline, {name: findings.usual(f"judged\t{name}") for name in names} if findings.same else {}
    )
    first = verdict.measures[0]
    if not verdict.decided:
        _wait(together, findings)
        findings.undecided.add(("performance", first.name))
    windows = findings.strike("performance", verdict.worse if verdict.decided else None)
    measures = [Measure(first.name, first.value, first.low, first.high, first.rows, first.reference, windows)]
    measures += verdict.measures[1:]
    if verdict.decided and verdict.worse and (verdict.strongly or windows >= 2):
        biased = not verdict.before and first.rows < COVERED * rows
        findings.alert(
            "ticket" if biased else "page", "performance", first.name, *_worse(first, verdict.before, biased, see)
        )
    if findings.same:
        findings.keep("judged")
    if verdict.decided and not verdict.worse:
        rows_, total, squares, _ = together.errors
        for name, count in (("accuracy", together.right), ("error", (rows_, total)), ("error²", (rows_, squares))):
            _learn(findings, f"judged\t{name}", count)
    return measures


def _worse(first: Measure, before: bool, biased: bool, see: str) -> tuple[str, str]:
    against = "in the windows before" if before else "on the held-out rows of the training"
    value, low, high, usual = (
        0.0 if each is None else each for each in (first.value, first.low, first.high, first.reference)
    )
    if first.name == "accuracy":
        text = (
            f"{value:.1%} of {first.rows:,} judged predictions were right (95 %: {low:.1%} to {high:.1%}), "
            f"{against} {usual:.1%}."
        )
    else:
        text = (
            f"The mean absolute error of {first.rows:,} judged predictions is {value:.4g} (95 %: {low:.4g} to "
            f"{high:.4g}), {against} {usual:.4g}."
        )
    if biased:
        text += " Few were judged, and maybe mostly the wrong ones."
    return text, f"what the wrong predictions have in common, drift, and whether to train again: `{see}`"


def _with_waiting(found: Judged, findings: Findings) -> Judged:
    """Add what was judged in windows that were too short, which then had no verdict."""
    if not (findings.follows and findings.same):
        return found
    waiting = findings.memory.waiting
    right, one, two = (waiting.get(f"judged\t{name}", (0, 0)) for name in ("right", "error", "error²"))
    fourth = waiting.get("judged\terror⁴", (0, 0))
    rows, total, square, power = found.errors
    confusion = found.confusion.copy()
    for name, (some, _) in waiting.items():
        if name.startswith("confusion\t"):
            _, predicted, truth = name.split(SEPARATOR)
            confusion[predicted, truth] += round(some)
    return Judged(
        (found.right[0] + right[0], found.right[1] + right[1]),
        confusion,
        (rows + round(one[0]), total + one[1], square + two[1], power + fourth[1]),
        found.groups,
    )


def _wait(found: Judged, findings: Findings) -> None:
    if not findings.follows:
        kept = ("judged\t", "confusion\t")
        findings.waiting |= {name: count for name, count in findings.memory.waiting.items() if name.startswith(kept)}
        return
    rows, total, square, fourth = found.errors
    findings.waiting |= {
        "judged\tright": found.right,
        "judged\terror": (rows, total),
        "judged\terror²": (rows, square),
        "judged\terror⁴": (rows, fourth),
        **{SEPARATOR.join(("confusion", *pair)): (some, 0) for pair, some in found.confusion.items()},
    }


def groups(seen: Seen, judged: Judged, baseline: Baseline, findings: Findings, see: str) -> Fairness | None:
    """Check rates and accuracies by group."""
    found: list[Group] = []
    now: Counts = {}
    for measure, cells in (("rate", seen.groups), ("accuracy", judged.groups)):
        shown = fairness.parts(cells)
        now = shown if measure == "rate" else now
        found += _measure(measure, cells, findings, baseline, see) or fairness.compare(measure, shown, {})
    return fairness.report(_outcome(baseline), found, now)


def _measure(measure: str, cells: dict[Cell, Count], findings: Findings, baseline: Baseline, see: str) -> list[Group]:
    """Compare a rate in all groups, once there are enough rows."""
    usable = findings.follows and findings.same
    together = dict(cells)
    for name, count in findings.memory.waiting.items() if usable else ():
        kind, *cell = name.split(SEPARATOR)
        if kind == measure and len(cell) == 3:
            key = (cell[0], cell[1], cell[2])
            together[key] = _sum(together.get(key, (0, 0)), count)
    now = fairness.parts(together)
    before = _before(measure, findings) if findings.same else {}
    if findings.same:
        findings.keep(f"{measure}\t")
    totals: dict[str, float] = {}
    for (column, _, part), (some, _) in now.items():
        totals[column] = totals.get(column, 0) + (some if part == fairness.ALL else 0)
    rows = max(totals.values(), default=0)
    if rows < ENOUGH[measure]:
        kept = together if findings.follows else {}
        findings.waiting |= {SEPARATOR.join((measure, *cell)): count for cell, count in kept.items()}
        for name in findings.memory.strikes:
            if name.startswith(f"fairness\t{measure}\t"):
                findings.strike(name, None)
        findings.undecided |= {(a.check, a.subject) for a in findings.earlier if a.check == "fairness"}
        return []
    compared = fairness.compare(measure, now, before)
    hits = [group for group in compared if fairness.flagged(group, now, before)]
    windows = {
        key: findings.strike(f"fairness\t{measure}\t{key[0]}\t{key[1]}", True)
        for key in {(group.column, group.value) for group in hits}
    }
    changed = {column for column, _ in windows}
    for key, count in now.items():
        if key[0] not in changed and key[2] in (fairness.ALL, fairness.WEEKDAYS, fairness.WEEKENDS):
            _learn(findings, SEPARATOR.join((measure, *key)), count)
    for group, some in windows.items():
        worst = min((g for g in hits if (g.column, g.value) == group), key=lambda g: (g.p or 0.0, g.part))
        if some >= 2 or (worst.p or 0.0) < fairness.STRONG:
            _alert(worst, measure, baseline, findings, see)
    return [
        Group(g.column, g.value, g.part, g.measure, g.share, g.expected, g.p, windows.get((g.column, g.value), 0))
        for g in compared
    ]


def _alert(worst: Group, measure: str, baseline: Baseline, findings: Findings, see: str) -> None:
    when = {fairness.ALL: "", fairness.WEEKDAYS: " on weekdays", fairness.WEEKENDS: " on weekends"}
    what = _outcome(baseline) if measure == "rate" else "the prediction is right"
    share = worst.share
    value, low, high, expected = (0.0 if e is None else e for e in (share.value, share.low, share.high, worst.expected))
    findings.alert(
        "ticket",
        "fairness",
        f"{worst.column}={worst.value}" + (" (accuracy)" if measure == "accuracy" else ""),
        f"Where {worst.column} is {worst.value}{when.get(worst.part, f' on {worst.part}')}, {what} for {value:.1%} of "
        f"{share.rows:,} rows (95 %: {low:.1%} to {high:.1%}). Its past and the other groups make one expect "
        f"{expected:.1%}.",
        f"what is different about these rows, such as another source, a new caller or another mix of inputs: `{see}`",
    )


def _outcome(baseline: Baseline) -> str:
    model = baseline.model
    return f"{model.outcome} is predicted" if model.classes else f"more than {model.middle:.4g} is predicted"


def _before(measure: str, findings: Findings) -> Counts:
    found: Counts = {}
    for name, count in findings.memory.counts.items():
        kind, *key = name.split(SEPARATOR)
        if kind == measure and len(key) == 3:
            found[key[0], key[1], key[2]] = count
    return found


def _learn(findings: Findings, name: str, count: Count) -> None:
    if not findings.same:
        findings.counts[name] = count
    else:
        findings.learn(name, count)


def _sum(one: Count, other: Count) -> Count:
    return one[0] + other[0], one[1] + other[1]
