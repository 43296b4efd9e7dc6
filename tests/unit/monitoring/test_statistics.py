"""Intervals and corrections are those of scipy and of the literature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pantheon.monitoring.statistics import difference, holm, log_odds, mean, share


@given(st.integers(1, 5000), st.floats(0, 1))
def test_shares_have_the_interval_of_wilson(rows: int, part: float) -> None:
    some = round(part * rows)
    found, oracle = share((rows, some)), stats.binomtest(some, rows).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == (pytest.approx(oracle.low, abs=1e-9), pytest.approx(oracle.high, abs=1e-9))
    assert found.value == some / rows


def test_no_rows_have_no_share() -> None:
    assert share((0, 0)).value is None


def test_a_difference_has_the_interval_of_newcombe() -> None:
    """The example in Newcombe's paper (1998): 56 of 70 and 48 of 80, method 10."""
    assert difference((70, 56), (80, 48)) == (
        pytest.approx(0.2),
        pytest.approx(0.0524, abs=1e-4),
        pytest.approx(0.3339, abs=1e-4),
    )


def test_a_mean_has_the_interval_of_t() -> None:
    values = np.random.default_rng(1).gamma(2, 3, 40)
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean(40, float(values.sum()), float((values**2).sum()))
    assert found == (pytest.approx(values.mean()), pytest.approx(oracle.low), pytest.approx(oracle.high))


def test_many_comparisons_are_corrected_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_log_odds_are_finite_at_the_ends() -> None:
    assert log_odds((10, 0))[0] == -log_odds((10, 10))[0]
