"""Whether a group is treated differently from before: rates by group, on each day, on weekdays and on weekends.

Groups may differ for good reasons, and traffic may change for all of them. So a group's rate is not compared with other
groups' rates, but with what its own past and today's other groups make one expect: the odds ratio between the group and
all others must be what it was (Woolf 1955; a "difference in differences" of log odds). A finding needs all of this:

- the difference is not chance, after Holm's correction for all comparisons of the window: at 0.1 % in one window, or at
  5 % in two in a row of the same group;
- it is large: the rate is below 80 % or above 125 % of the expected one (the four-fifths rule);
- the group's own rate has changed, so that of two groups the one is named in which something happened.

Rates by group and their ratio are those of fairlearn's ``MetricFrame``. Days are those of UTC.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import date

from fairlearn.metrics import MetricFrame, mean_prediction

from pantheon.monitoring.report import Fairness, Group
from pantheon.monitoring.statistics import Count, holm, log_odds, share, two_sided
from pantheon.monitoring.window import GROUPS, Cell

LEAST = 200  # rows of a group in the past, and of all others
LEAST_NOW = 30  # of a group in the window
LARGE = 0.8  # or 1 / 0.8
CERTAIN, STRONG, OWN = 0.05, 0.001, 0.01
ALL, WEEKDAYS, WEEKENDS = "all", "weekdays", "weekends"
MOST = 400  # groups in a report

Counts = dict[tuple[str, str, str], Count]
"""(column, value, part) → rows, and those with the outcome."""


def parts(cells: Mapping[Cell, Count]) -> Counts:
    """Sum the groups on days up: over all days, weekdays, weekends; and the days themselves, if there are several."""
    few: dict[str, set[str]] = {}
    for column, value, _ in cells:
        few.setdefault(column, set()).add(value)
    found: Counts = {}
    several = len({day for _, _, day in cells}) > 1
    for (column, value, day), (rows, some) in cells.items():
        if len(few[column]) > GROUPS:
            continue
        kind = WEEKENDS if date.fromisoformat(day).weekday() >= 5 else WEEKDAYS
        for part in (ALL, kind, *([day] if several else [])):
            before = found.get((column, value, part), (0, 0))
            found[column, value, part] = (before[0] + rows, before[1] + some)
    return found


def compare(measure: str, now: Counts, before: Counts) -> list[Group]:
    """Return every group of the window with its expected rate, and the probability of such a difference by chance.

    ``p`` is None where the past is too short, or the window has too few rows.
    """
    found, tested = list[Group](), list[tuple[int, float]]()
    kinds = {part for _, _, part in now} & {WEEKDAYS, WEEKENDS}
    for (column, value, part), count in sorted(now.items()):
        expected, p = _expected(now, before, (column, value, part))
        if p is not None and (part != ALL or len(kinds) > 1):  # else it is the same rows again
            tested.append((len(found), p))
        found.append(Group(column, value, part, measure, share(count), expected))
    for (place, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
        found[place] = _with(found[place], p)
    return found


def flagged(group: Group, now: Counts, before: Counts) -> bool:
    """Whether a group is different by more than chance, by much, and itself."""
    if group.p is None or group.p > CERTAIN or not group.expected or group.share.value is None:
        return False
    ratio = group.share.value / group.expected
    key = (group.column, group.value, group.part)
    past = _past(before, key)
    if LARGE <= ratio <= 1 / LARGE or past is None:
        return False
    one, variance = log_odds(now[key])
    other, variance_before = log_odds(past[0])
    return two_sided((one - other) / math.sqrt(variance + variance_before)) < OWN


def _with(group: Group, p: float) -> Group:
    return Group(group.column, group.value, group.part, group.measure, group.share, group.expected, p)


def _expected(now: Counts, before: Counts, key: tuple[str, str, str]) -> tuple[float | None, float | None]:
    """Return the expected rate, and the probability of the difference by chance; None: not known."""
    past = _past(before, key)
    rest = _others(now, key)
    if past is None or now[key][0] < LEAST_NOW or rest[0] < LEAST_NOW:
        return None, None
    odds = [log_odds(count) for count in (now[key], rest, *past)]
    (one, _), (others, _), (one_before, _), (others_before, _) = odds
    expected = others + one_before - others_before
    z = (one - expected) / math.sqrt(sum(variance for _, variance in odds))
    return 1 / (1 + math.exp(-expected)), two_sided(z)


def _past(before: Counts, key: tuple[str, str, str]) -> tuple[Count, Count] | None:
    """Return the past of a group and of all others: on such days, or, if that is too short, on all."""
    column, value, part = key
    kind = part
    if part not in (ALL, WEEKDAYS, WEEKENDS):
        kind = WEEKENDS if date.fromisoformat(part).weekday() >= 5 else WEEKDAYS
    for each in dict.fromkeys((kind, ALL)):
        own, others = before.get((column, value, each), (0, 0)), _others(before, (column, value, each))
        if own[0] >= LEAST and others[0] >= LEAST:
            return own, others
    return None


def _others(counts: Counts, key: tuple[str, str, str]) -> Count:
    column, value, part = key
    rest = [count for (c, v, p), count in counts.items() if c == column and p == part and v != value]
    return sum(rows for rows, _ in rest), sum(some for _, some in rest)


def report(outcome: str, groups: Iterable[Group], now: Counts) -> Fairness | None:
    """Return the section of a report; None without groups."""
    found = sorted(groups, key=lambda each: (each.p is None, each.p or 0.0))
    if not found:
        return None
    return Fairness(
        outcome, found[:MOST], {column: ratio for column in _columns(now) if (ratio := _ratio(now, column)) is not None}
    )


def frame(now: Counts, column: str) -> "MetricFrame | None":
    """Return fairlearn's frame of the rates of a column's groups; None if there is only one group."""
    lines = [
        (value, outcome, rows)
        for (c, value, part), (all_, some) in sorted(now.items())
        if c == column and part == ALL
        for outcome, rows in ((1, some), (0, all_ - some))
        if rows
    ]
    groups, outcomes, weights = ([line[place] for line in lines] for place in range(3))
    if len(set(groups)) < 2:
        return None
    return MetricFrame(
        metrics={"rate": mean_prediction},
        y_true=outcomes,
        y_pred=outcomes,
        sensitive_features={column: groups},
        sample_params={"rate": {"sample_weight": weights}},
    )


def _ratio(now: Counts, column: str) -> float | None:
    found = frame(now, column)
    if found is None:
        return None
    ratio = float(found.ratio(method="between_groups")["rate"])
    return ratio if math.isfinite(ratio) else None


def _columns(now: Counts) -> list[str]:
    return sorted({column for column, _, _ in now})
