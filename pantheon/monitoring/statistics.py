"""Intervals and tests, by scipy.

Wilson's interval for a share keeps its confidence for small numbers and shares near 0 and 1 (Brown, Cai and DasGupta
2001); Newcombe's for a difference of two shares is made of two of them (Newcombe 1998, method 10). Many comparisons
are corrected by Holm's method (1979): with no assumption, the chance of any false one is at most the level.
"""

import math
from collections.abc import Sequence

from scipy import stats

from pantheon.monitoring.report import Share

CONFIDENCE = 0.95
Count = tuple[float, float]
"""All, and of these."""


def share(count: Count, confidence: float = CONFIDENCE) -> Share:
    """Return a share with its interval of Wilson."""
    rows, some = count
    if rows <= 0:
        return Share(None, None, None, 0)
    z = float(stats.norm.ppf(0.5 + confidence / 2))  # as scipy's binomtest, which takes whole numbers only
    p, denominator = some / rows, 1 + z * z / rows
    middle = (p + z * z / (2 * rows)) / denominator
    half = z / denominator * math.sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows))
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), round(rows))


def difference(one: Count, other: Count, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return ``one``'s share minus ``other``'s, and Newcombe's interval: (value, low, high)."""
    a, b = share(one, confidence), share(other, confidence)
    if a.value is None or b.value is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return math.nan, -1.0, 1.0
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return value, low, high


def mean(rows: int, total: float, squares: float, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return a mean and its t interval, from the sum and the sum of squares of at least two numbers."""
    middle = total / rows
    spread = math.sqrt(max(0.0, squares / rows - middle * middle) * rows / (rows - 1))
    half = float(stats.t.ppf(0.5 + confidence / 2, rows - 1)) * spread / math.sqrt(rows)
    return middle, middle - half, middle + half


def holm(values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for their number."""
    found, worst = [1.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        found[place] = worst
    return found


def two_sided(z: float) -> float:
    """Return the probability of a standard normal number at least as far from 0."""
    return float(2 * stats.norm.sf(abs(z)))


def log_odds(count: Count) -> tuple[float, float]:
    """Return the logarithm of the odds of a share, and its variance (Haldane and Anscombe: a half is added)."""
    rows, some = count
    yes, no = some + 0.5, rows - some + 0.5
    return math.log(yes / no), 1 / yes + 1 / no
