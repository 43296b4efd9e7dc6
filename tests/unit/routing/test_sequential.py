"""The test between champion and challenger: no false winners however often one looks, and real ones are found."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pantheon.routing.sequential import ALPHA, compare, interval, log_evidence

LOOKS, EXPERIMENTS = 50, 1_000
counts = st.tuples(st.integers(0, 400), st.integers(0, 400))
judged = counts.filter(any)


def looks(rate: float, per_look: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the right and wrong answers until each look, in arrays [experiment, look]."""
    right = generator.binomial(per_look, rate, size=(EXPERIMENTS, LOOKS)).cumsum(axis=1)
    return right, np.arange(1, LOOKS + 1) * per_look - right


def winners(a: float, b: float, per_look: int) -> float:
    """Return the share of experiments in which any look names a winner."""
    generator = np.random.default_rng(1)
    evidence = log_evidence(*looks(a, per_look, generator), *looks(b, per_look, generator))
    return float((evidence >= math.log(1 / ALPHA)).any(axis=1).mean())


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.8])
def test_1000_experiments_without_a_difference_and_50_looks_have_at_most_5_percent_winners(rate: float) -> None:
    assert winners(rate, rate, per_look=40) <= 0.05


def test_a_test_made_for_one_look_would_not_pass_the_same_experiments() -> None:
    generator = np.random.default_rng(1)
    (right_a, wrong_a), (right_b, _) = (looks(0.8, 40, generator) for _ in range(2))
    n = right_a + wrong_a
    pooled = (right_a + right_b) / (2 * n)
    z = (right_a - right_b) / np.sqrt(2 * n * pooled * (1 - pooled))
    assert (abs(z) > 1.96).any(axis=1).mean() > 0.2


def test_a_difference_of_5_points_is_found() -> None:
    assert winners(0.80, 0.85, per_look=100) >= 0.95


def test_a_bandit_that_divides_the_traffic_makes_no_false_winners() -> None:
    """The division follows the feedback: what fixed-sample tests do not allow."""
    generator = np.random.default_rng(2)
    found = np.zeros((2, 2, EXPERIMENTS), dtype=np.int64)  # [version, right or wrong, experiment]
    won = np.zeros(EXPERIMENTS, dtype=bool)
    for _ in range(LOOKS):
        drawn = generator.beta(1 + found[:, 0], 1 + found[:, 1])
        share = np.where(drawn[0] > drawn[1], 0.98, 0.02)
        first = generator.binomial(80, share)
        for version, given_ in enumerate((first, 80 - first)):
            right = generator.binomial(given_, 0.7)
            found[version] += np.array([right, given_ - right])
        won |= log_evidence(*found[0], *found[1]) >= math.log(1 / ALPHA)
    assert won.mean() <= 0.05


@given(judged, judged)
def test_the_interval_agrees_with_the_verdict(a: tuple[int, int], b: tuple[int, int]) -> None:
    low, high = interval(a, b)
    difference = b[0] / sum(b) - a[0] / sum(a)
    assert -1 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1
    decided = float(log_evidence(*a, *b)) >= math.log(1 / ALPHA)
    assert decided == (low > 1e-9 or high < -1e-9) or min(abs(low), abs(high)) < 1e-6
    mirrored = interval(b, a)
    assert mirrored == pytest.approx((-high, -low), abs=1e-6)


@given(counts, counts)
def test_swapping_the_versions_or_right_and_wrong_changes_no_evidence(a: tuple[int, int], b: tuple[int, int]) -> None:
    expected = pytest.approx(float(log_evidence(*a, *b)), abs=1e-6)
    assert float(log_evidence(*b, *a)) == expected
    assert float(log_evidence(*a[::-1], *b[::-1])) == expected


def test_the_expected_evidence_is_at_most_1_if_there_is_no_difference() -> None:
    """Exactly, by enumerating every outcome of 30 and 20 answers."""
    a, b = np.arange(31)[:, None], np.arange(21)[None, :]
    evidence = np.exp(log_evidence(a, 30 - a, b, 20 - b))
    for p in (0.01, 0.3, 0.5, 0.9):
        chance = np.array([[math.comb(30, i) * math.comb(20, j) * p ** (i + j) * (1 - p) ** (50 - i - j) for j in range(21)] for i in range(31)])  # fmt: skip # noqa: E501
        assert chance.sum() == pytest.approx(1)
        assert (chance * evidence).sum() <= 1


def test_more_feedback_makes_the_interval_narrower() -> None:
    widths = [high - low for low, high in (interval((80 * n, 20 * n), (85 * n, 15 * n)) for n in (1, 4, 16, 64))]
    assert all(later < earlier / 1.5 for earlier, later in pairwise(widths))


@pytest.mark.parametrize(
    ("a", "b", "verdict", "sentence"),
    [
        ((0, 0), (3, 1), "undecided", "Not decided: nobody has judged an answer of version 6 yet."),
        ((80, 20), (85, 15), "undecided", "Not decided, it could be chance: version 7 was right in 85.0 % of 100"),
        ((8000, 2000), (8500, 1500), "promote", "Promote version 7, which is better: version 7 was right in 85.0 % of"),
        ((8500, 1500), (8000, 2000), "keep", "Keep version 6, which is better: version 7 was right in 80.0 % of"),
        ((800_000, 200_000), (800_000, 200_000), "equal", "Keep version 6: they differ by less than 1 point: version"),
    ],
)
def test_the_recommendation_is_a_sentence(a: tuple[int, int], b: tuple[int, int], verdict: str, sentence: str) -> None:
    found = compare("6", a, "7", b)
    assert found.verdict == verdict
    assert found.sentence.startswith(sentence)


def test_the_forecast_comes_true() -> None:
    found = compare("6", (80, 20), "7", (85, 15))
    assert found.more is not None
    assert f"about {found.more:,} more judged answers decide" in found.sentence
    factor = 1 + (found.more + 10) / 200
    assert float(log_evidence(80 * factor, 20 * factor, 85 * factor, 15 * factor)) >= math.log(1 / ALPHA)
    assert compare("6", (80, 20), "7", (80, 20)).more is None
