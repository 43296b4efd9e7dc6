"""Champion against challenger: a test that may be looked at after every answer without finding false winners.

Null hypothesis: both versions are right with the same, unknown probability. The evidence against it is the likelihood
of the feedback, averaged over a uniform prior for each version, divided by the largest likelihood under the hypothesis.
Under the hypothesis its expectation is at most 1 at any time, so by Ville's inequality the chance that it ever reaches
1 / alpha is at most alpha: exact for any number of answers, not only in the limit, and also if a bandit, which looks at
earlier feedback, divides the traffic. It needs counts only, whatever the order of the feedback. The price is
patience: 2.4 times the feedback of the mSPRT in its normal approximation (0.80 against 0.85: 2,400 answers per version
instead of 1,000, in the median), which in turn made 2.6 % false winners where this made none.

Answers are assumed to be independent of each other: judgements of few customers who ask often tell less than they seem.

Sources: mixtures, Robbins 1970 (Annals of Mathematical Statistics 41) and, for A/B tests, the mSPRT of Johari, Koomen,
Pekelis & Walsh 2022 (Operations Research 70, "Always valid inference"); the composite hypothesis, Wasserman, Ramdas &
Balakrishnan 2020 (PNAS 117, "Universal inference").
"""

import math
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
MARGIN = 0.01  # versions that differ by less are equal in practice
MOST_FACTOR = 1e3  # no forecast beyond this multiple of the present feedback
STEPS = 60  # of a bisection: to the limits of a double
_lgamma = np.frompyfunc(math.lgamma, 1, 1)

Verdict = Literal["promote", "keep", "equal", "undecided"]


class Comparison(msgspec.Struct, frozen=True):
    """The test's result.

    Attributes:
        champion, challenger: the numbers of the versions.
        right, judged: by version: the number of answers called right, and of all that users judged.
        difference: challenger's share of right answers minus champion's; None without feedback for both.
        low, high: its interval, which is valid at every look at once with probability ``1 - alpha``.
        evidence: against the hypothesis that they are equal; ``1 / alpha`` decides.
        verdict: what to do.
        more: a forecast, how many more judged answers decide if the difference stays; None: no forecast.
        sentence: all of it for people.
    """

    champion: str
    challenger: str
    right: dict[str, int]
    judged: dict[str, int]
    difference: float | None
    low: float
    high: float
    evidence: float
    verdict: Verdict
    more: int | None
    sentence: str


def log_evidence(right_a: ArrayLike, wrong_a: ArrayLike, right_b: ArrayLike, wrong_b: ArrayLike) -> NDArray[np.float64]:
    """Return the logarithm of the evidence that a and b differ; counts of any shape that broadcasts."""
    right_1, wrong_1, right_2, wrong_2 = (np.asarray(x, float) for x in (right_a, wrong_a, right_b, wrong_b))
    equal = _likelihood_at_best(right_1 + right_2, wrong_1 + wrong_2)
    return np.asarray(_averaged(right_1, wrong_1) + _averaged(right_2, wrong_2) - equal, float)


def interval(a: tuple[int, int], b: tuple[int, int], alpha: float = ALPHA) -> tuple[float, float]:
    """Return the confidence sequence of b's probability minus a's, from counts (right, wrong), at this moment.

    It has every difference that the evidence does not reject.
    """
    averaged = float(_averaged(*a) + _averaged(*b))
    limit = averaged - math.log(1 / alpha)
    middle = _share(b) - _share(a)

    def kept(difference: float) -> bool:
        return _likelihood_with(a, b, difference) > limit

    return -_edge(lambda x: kept(-x), -middle), _edge(kept, middle)


def compare(champion: str, a: tuple[int, int], challenger: str, b: tuple[int, int], alpha: float = ALPHA) -> Comparison:
    """Test a challenger against the champion.

    Args:
        champion, challenger: the numbers of the versions.
        a, b: how many of their answers users called right, and wrong.
    """
    judged = {champion: sum(a), challenger: sum(b)}
    right = {champion: a[0], challenger: b[0]}
    missing = [version for version in (champion, challenger) if not judged[version]]
    if missing:
        text = f"Not decided: nobody has judged an answer of version {' or '.join(missing)} yet."
        return Comparison(champion, challenger, right, judged, None, -1.0, 1.0, 1.0, "undecided", None, text)
    difference = _share(b) - _share(a)
    low, high = interval(a, b, alpha)
    logarithm = float(log_evidence(*a, *b))
    verdict: Verdict = "undecided"
    if logarithm >= math.log(1 / alpha):
        verdict = "promote" if difference > 0 else "keep"
    elif low > -MARGIN and high < MARGIN:
        verdict = "equal"
    more = _more(a, b, alpha) if verdict == "undecided" else None
    facts = (
        f"version {challenger} was right in {_percent(b)} of {sum(b):,} judged answers, version {champion} in "
        f"{_percent(a)} of {sum(a):,}: {100 * difference:+.1f} points, "
        f"{100 * (1 - alpha):g} % interval {100 * low:+.1f} to {100 * high:+.1f}."
    )
    sentence = f"{_advice(verdict, champion, challenger)}: {facts}"
    if more:
        sentence += f" If this difference stays, about {more:,} more judged answers decide."
    evidence = math.exp(min(logarithm, 700.0))
    return Comparison(
        champion, challenger, right, judged, difference, low, high, evidence, verdict, more, sentence
    )  # fmt: skip


def _advice(verdict: Verdict, champion: str, challenger: str) -> str:
    return {
        "promote": f"Promote version {challenger}, which is better",
        "keep": f"Keep version {champion}, which is better",
        "equal": f"Keep version {champion}: they differ by less than {100 * MARGIN:g} point",
        "undecided": "Not decided, it could be chance",
    }[verdict]


def _more(a: tuple[int, int], b: tuple[int, int], alpha: float) -> int | None:
    """Return how many more judged answers in the same proportions would decide; None if far too many."""

    def decides(factor: float) -> bool:
        return float(log_evidence(*(factor * count for count in (*a, *b)))) >= math.log(1 / alpha)

    if not decides(MOST_FACTOR):
        return None
    low, high = 1.0, MOST_FACTOR
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if decides(middle) else (middle, high)
    return max(1, math.ceil((high - 1) * (sum(a) + sum(b))))


def _share(counts: tuple[int, int]) -> float:
    return counts[0] / sum(counts)


def _percent(counts: tuple[int, int]) -> str:
    return f"{100 * _share(counts):.1f} %"


def _averaged(right: ArrayLike, wrong: ArrayLike) -> NDArray[np.float64]:
    """Return the log-likelihood averaged over a uniform prior: the Beta function."""
    right, wrong = np.asarray(right, float), np.asarray(wrong, float)
    found = _lgamma(right + 1) + _lgamma(wrong + 1) - _lgamma(right + wrong + 2)
    return np.asarray(found, float)


def _likelihood_at_best(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-likelihood at the best probability, the share of right answers."""
    total = np.maximum(right + wrong, 1)
    part = (x * np.log(np.maximum(x, 1) / total) for x in (right, wrong))
    return np.asarray(sum(part), float)


def _likelihood_with(a: tuple[int, int], b: tuple[int, int], difference: float) -> float:
    """Return the largest log-likelihood of probabilities p for a and ``p + difference`` for b; concave in p."""
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)
    for _ in range(STEPS):
        p = (low + high) / 2
        q = p + difference
        slope = _ratio(a[0], p) - _ratio(a[1], 1 - p) + _ratio(b[0], q) - _ratio(b[1], 1 - q)
        low, high = (p, high) if slope > 0 else (low, p)
    p = (low + high) / 2
    return _times_log(a[0], p) + _times_log(a[1], 1 - p) + _times_log(b[0], p + difference) + _times_log(
        b[1], 1 - p - difference
    )  # fmt: skip


def _ratio(count: int, p: float) -> float:
    return count / max(p, 1e-300) if count else 0.0


def _times_log(count: int, p: float) -> float:
    return count * math.log(max(p, 1e-300)) if count else 0.0


def _edge(kept: Callable[[float], bool], inside: float) -> float:
    """Return the largest difference up to 1 that is kept; the kept ones are an interval around ``inside``."""
    low, high = inside, 1.0
    if kept(high):
        return high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return high
