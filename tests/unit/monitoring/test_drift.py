"""PSI: as an independent computation has it, quiet without drift, and loud with half a standard deviation."""

import numpy as np
import pytest
from scipy import stats

from pantheon.monitoring.drift import CERTAIN, OTHERS, bins_of, limit, psi
from pantheon.workflow.bundle.distribution import of_codes, of_numbers


def independent(reference: np.ndarray, values: np.ndarray, edges: tuple[float, ...]) -> float:
    """The textbook's formula on raw values, by numpy's histogram."""
    ends = [-np.inf, *edges, np.inf]
    e, a = (np.histogram(-each, sorted(-x for x in ends))[0][::-1] / len(each) for each in (reference, values))
    return float(np.sum((a - e) * np.log(a / e)))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_it_is_the_psi_of_the_textbook(shift: float) -> None:
    random = np.random.default_rng(1)
    reference, values = random.normal(size=20_000), random.normal(shift, size=5_000)
    described = of_numbers(reference)
    bins = bins_of(described)
    assert bins
    assert len(bins.shares) == 10
    found = psi(bins.shares, 20_000, bins.count_numbers(values))
    assert found == pytest.approx(independent(reference, values, bins.edges), abs=2e-3)
    assert (found > 0.2) == bool(shift)


def test_many_equal_values_make_no_drift() -> None:
    """Such as counts, of which most are 0: bins of equal shares are not possible."""
    random = np.random.default_rng(2)
    reference, values = random.poisson(0.4, 10_000).astype(float), random.poisson(0.4, 5_000).astype(float)
    bins = bins_of(of_numbers(reference))
    assert bins
    assert psi(bins.shares, 10_000, bins.count_numbers(values)) < 0.01
    moved = random.poisson(0.8, 5_000).astype(float)
    assert psi(bins.shares, 10_000, bins.count_numbers(moved)) > 0.1


def test_categories_are_compared_by_value_and_rare_ones_together() -> None:
    random = np.random.default_rng(3)
    codes = random.choice(12, 10_000, p=[0.5, 0.455, *[0.0045] * 10]).astype(np.float32)
    bins = bins_of(of_codes(codes, [f"c{i}" for i in range(12)]))
    assert bins
    assert list(bins.shares) == ["c0", "c1", OTHERS]
    assert bins.count({"c0": 3, "c5": 2, "never seen": 1}) == {"c0": 3, "c1": 0, OTHERS: 3}


def test_a_column_that_never_changed_is_one_bin() -> None:
    bins = bins_of(of_numbers(np.full(100, 7.0)))
    assert bins
    assert sum(bins.count_numbers(np.array([7.0, 8.0, np.nan])).values()) == 2
    assert bins_of(of_numbers(np.full(3, np.nan))) is None


def test_the_limit_is_the_99_percent_point_of_chance() -> None:
    assert stats.chi2.ppf(0.99, 9) == pytest.approx(CERTAIN, abs=0.05)
    assert limit(200, 1_000_000, 10) == pytest.approx(0.1085, abs=1e-3)
    assert limit(10_000, 10_000, 10) == 0.1
    assert limit(200, 1_000_000, 51) > 2 * limit(200, 1_000_000, 10)


def test_without_drift_few_windows_are_above_the_limit() -> None:
    """At 200 rows the limit is what chance exceeds in 1 % of windows; two in a row are needed on top."""
    random = np.random.default_rng(4)
    bins = bins_of(of_numbers(random.normal(size=50_000)))
    assert bins
    top = limit(200, 50_000, 10)
    above = [psi(bins.shares, 50_000, bins.count_numbers(random.normal(size=200))) > top for _ in range(1_000)]
    assert np.mean(above) < 0.025
