"""The bandit counts what users judged, and its shares follow the counts above the floor."""

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.routing.bandit import chances, posterior, shares
from pantheon.routing.rewards import Counts, counts


def log(**columns: Any) -> pl.DataFrame:
    """Return one row of the log."""
    row: dict[str, Any] = {"version": "1", "reason": "weights", "shadow": False, "status": 200, "prediction": "1"}
    row |= {"correct": None, "true_value": None}
    schema = {"correct": pl.Boolean, "true_value": pl.String, "prediction": pl.String}
    return pl.DataFrame([row | columns], schema_overrides=schema)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"correct": True}, {"1": (1, 0)}),
        ({"correct": False, "true_value": "1"}, {"1": (0, 1)}),
        ({"true_value": "1"}, {"1": (1, 0)}),
        ({"true_value": "1.0"}, {"1": (1, 0)}),
        ({"true_value": '"bad"', "prediction": '"bad"'}, {"1": (1, 0)}),
        ({"true_value": "0"}, {"1": (0, 1)}),
        ({"version": "2", "correct": True}, {"2": (1, 0)}),
        ({}, {}),
        ({"correct": True, "shadow": True}, {}),
        ({"correct": True, "reason": "header"}, {}),
        ({"correct": True, "status": 422, "prediction": None}, {}),
    ],
)
def test_a_row_counts_if_a_user_saw_and_judged_it(columns: dict[str, Any], expected: Counts) -> None:
    assert counts(log(**columns)) == expected


def test_rows_are_counted_by_version() -> None:
    rows = [("1", True), ("1", False), ("1", True), ("2", None), ("2", False)]
    frame = pl.concat([log(version=version, correct=correct) for version, correct in rows])
    assert counts(frame) == {"1": (2, 1), "2": (0, 1)}
    assert posterior(counts(frame)) == {"1": (3, 2), "2": (1, 2)}


def test_without_feedback_shares_are_equal_and_one_clear_winner_gets_all_but_the_floor() -> None:
    arms = {"champion": "1", "challenger": "2", "3": "3"}
    assert shares(arms, {}) == pytest.approx(dict.fromkeys(arms, 1 / 3), abs=0.01)
    found = shares(arms, {"1": (500, 500), "2": (900, 100), "3": (500, 500)})
    assert found == {"champion": 0.02, "challenger": pytest.approx(0.96), "3": 0.02}


@given(
    st.dictionaries(
        st.sampled_from(["1", "2", "3", "4"]), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2
    )
)
def test_every_arm_has_at_least_the_floor_and_the_sum_is_one(judged: Counts) -> None:
    found = shares({version: version for version in judged}, judged)
    assert min(found.values()) >= 0.02
    assert sum(found.values()) == pytest.approx(1, abs=1e-9)
    assert found == shares({version: version for version in judged}, judged), "the same counts, the same shares"


def test_the_chance_to_be_best_is_exact_for_two_small_posteriors() -> None:
    # P(X > Y) for X ~ Beta(2, 1), Y ~ Beta(1, 1) is the mean of X: 2/3.
    assert chances([(2, 1), (1, 1)])[0] == pytest.approx(2 / 3, abs=0.01)


def test_thompson_sampling_finds_the_better_version_from_delayed_feedback() -> None:
    """Feedback of a batch comes one batch late; rates 0.8 and 0.9."""
    chance = random.Random(3)
    judged, waiting = {"1": (0, 0), "2": (0, 0)}, list[tuple[str, bool]]()
    for _ in range(40):
        division = shares({"1": "1", "2": "2"}, judged)
        answered = chance.choices(list(division), list(division.values()), k=100)
        for version, right in waiting:
            judged[version] = (judged[version][0] + right, judged[version][1] + (not right))
        waiting = [(version, chance.random() < {"1": 0.8, "2": 0.9}[version]) for version in answered]
    assert shares({"1": "1", "2": "2"}, judged)["2"] > 0.95
    assert sum(judged["2"]) > 3 * sum(judged["1"])
