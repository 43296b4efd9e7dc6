"""Who answers which part of the traffic: chance within three sigma, the same key forever, and the least movement."""

from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.routing.policy import SLOTS, Policy
from pantheon.routing.shares import counts, layout, owned, rounded, salted, slot

ARMS = ("champion", "challenger", "3", "4")


@st.composite
def divisions(draw: st.DrawFn) -> dict[str, int]:
    """Return slots by arm, whose sum is ``SLOTS``."""
    cuts = sorted(draw(st.lists(st.integers(0, SLOTS), min_size=len(ARMS) - 1, max_size=len(ARMS) - 1)))
    parts = [end - begin for begin, end in zip([0, *cuts], [*cuts, SLOTS], strict=True)]
    return {arm: part for arm, part in zip(ARMS, parts, strict=True) if part}


@given(st.lists(divisions(), min_size=1, max_size=5))
def test_a_change_moves_only_the_slots_that_must_move(changes: list[dict[str, int]]) -> None:
    before = layout({"champion": SLOTS})
    for wanted in changes:
        after = layout(wanted, before)
        Policy("robots", split=after).checked()
        assert owned(after) == wanted
        old, new = ([arm for end, arm in _lengths(split) for _ in range(end)] for split in (before, after))
        moved = sum(a != b for a, b in zip(old, new, strict=True))
        assert moved == sum(max(0, count - owned(before).get(arm, 0)) for arm, count in wanted.items())
        before = after


def _lengths(split: tuple[tuple[int, str], ...]) -> list[tuple[int, str]]:
    begins = [0, *(end for end, _ in split)]
    return [(end - begin, arm) for begin, (end, arm) in zip(begins, split, strict=False)]


def test_10_000_requests_at_10_percent_are_within_three_sigma() -> None:
    share, requests = 0.1, 10_000
    hits = sum(slot(salted("robots"), f"0190-{number}") < share * SLOTS for number in range(requests))
    assert abs(hits - share * requests) < 3 * sqrt(requests * share * (1 - share))


def test_slots_are_uniform_and_two_models_are_independent() -> None:
    keys = [f"customer-{number}" for number in range(20_000)]
    robots, wine = ([slot(salted(model), key) * 10 // SLOTS for key in keys] for model in ("robots", "wine"))
    cells = Counter(zip(robots, wine, strict=True))
    chi_square = sum((cells[a, b] - 200) ** 2 / 200 for a in range(10) for b in range(10))
    assert chi_square < 149  # its 99.9 % quantile with 99 degrees of freedom


def test_a_slot_never_changes() -> None:
    """These are constants: a key keeps its version across processes, machines and releases."""
    known = {"ada": 4693, "grace": 430, "ñandú": 1734, "": 7147}
    assert {key: slot(salted("robots"), key) for key in known} == known


def test_the_champion_gets_what_is_left() -> None:
    assert counts({"challenger": 10}) == {"challenger": 1000, "champion": 9000}
    assert counts({"challenger": 0.01, "3": 99.99}) == {"challenger": 1, "3": 9999}
    assert counts({"champion": 50, "3": 50}) == {"champion": 5000, "3": 5000}


@pytest.mark.parametrize(
    ("percent", "message"),
    [
        ({"3": 101}, "101 is not a percentage"),
        ({"3": -1}, "-1 is not a percentage"),
        ({"3": 0.001}, "steps of 0.01"),
        ({"3": float("nan")}, "nan is not a percentage"),
        ({"3": 60, "4": 60}, "the sum of the percentages is 120"),
        ({"champion": 60, "4": 30}, "the sum of the percentages is 90"),
    ],
)
def test_impossible_percentages_are_refused(percent: dict[str, float], message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        counts(percent)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10).filter(lambda parts: sum(parts) > 0.01))
def test_rounded_shares_are_exact_in_sum_and_off_by_less_than_a_slot(parts: list[float]) -> None:
    shares = {str(index + 1): part / sum(parts) for index, part in enumerate(parts)}
    found = rounded(shares)
    assert sum(found.values()) == SLOTS
    assert all(abs(found.get(arm, 0) - share * SLOTS) <= 1 for arm, share in shares.items())
