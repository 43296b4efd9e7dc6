"""The bandit's counts do not depend on the order of the log, and its shares follow them above the floor."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.routing.bandit import chances, posterior, shares
from pantheon.routing.rewards import Counts, Tally, is_right

answers = st.dictionaries(
    st.sampled_from([f"id-{n}" for n in range(6)]),
    st.tuples(st.sampled_from(["1", "2"]), st.integers(1, 3), st.integers(0, 9)),
)
feedback = st.lists(
    st.tuples(
        st.sampled_from([f"id-{n}" for n in range(8)]),  # some are of no answer
        st.integers(-1, 3),  # some are of no row
        st.integers(0, 50),
        st.sampled_from([True, False, None]),
    ),
    max_size=30,
    unique_by=lambda each: each[:3],  # two at the same time are a case of its own
)
Answers = dict[str, tuple[str, int, int]]
Feedback = list[tuple[str, int, int, bool | None]]


def recomputed(answered: Answers, said: Feedback, since: int) -> Counts:
    """Return the counts from the whole log, as a query: the last feedback about each row of each answer."""
    given_ = pl.DataFrame(said, schema=["id", "row", "at", "right"], orient="row").with_columns(
        pl.col("row").cast(pl.Int64), pl.col("right").cast(pl.Boolean), pl.col("id").cast(pl.String)
    )
    rows = [(id_, row, version) for id_, (version, n, at) in answered.items() if at >= since for row in range(n)]
    log = pl.DataFrame(rows, schema={"id": pl.String, "row": pl.Int64, "version": pl.String}, orient="row")
    last = given_.sort("at").group_by("id", "row").last().filter(pl.col("right").is_not_null())
    found = log.join(last, on=["id", "row"]).group_by("version").agg(pl.col("right").sum(), n=pl.len())
    return {version: (int(right), n - int(right)) for version, right, n in found.iter_rows()}


@given(answers, feedback, st.integers(0, 9), st.randoms(use_true_random=False))
def test_counts_equal_those_from_the_log_in_any_order(
    answered: Answers, said: Feedback, since: int, chance: random.Random
) -> None:
    tally = Tally()
    calls = [lambda each=each: tally.answered(each[0], each[1][0], each[1][1], each[1][2]) for each in answered.items()]
    calls += [lambda each=each: tally.said(*each) for each in said]
    calls += chance.sample(calls, len(calls) // 2)  # delivered twice
    chance.shuffle(calls)  # late, early, mixed
    for call in calls:
        call()
    found = tally.counts(since=since)
    assert found == recomputed(answered, said, since)
    assert posterior(found) == {version: (1 + a, 1 + b) for version, (a, b) in found.items()}


def test_feedback_at_the_same_time_has_one_result() -> None:
    results = set()
    for order in ([True, False, None], [None, False, True], [False, True, None]):
        tally = Tally()
        tally.answered("id", "1", 1, 0)
        for right in order:
            tally.said("id", 0, 5, right)
        results.add(tally.counts()["1"])
    assert results == {(0, 1)}


def test_a_later_comment_without_a_judgement_withdraws_it() -> None:
    tally = Tally()
    tally.answered("id", "1", 1, 0)
    tally.said("id", 0, 5, True)
    assert tally.counts() == {"1": (1, 0)}
    tally.said("id", 0, 6, None)
    assert tally.counts(["1", "2"]) == {"1": (0, 0), "2": (0, 0)}


@pytest.mark.parametrize(
    ("correct", "value", "right"),
    [(True, None, True), (False, 1, False), (None, 1, True), (None, 0, False), (None, None, None)],
)
def test_a_true_value_judges_if_nothing_else_does(correct: bool | None, value: int | None, right: bool | None) -> None:
    assert is_right(correct, value, prediction=1) is right


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
def test_every_arm_has_at_least_the_floor_and_the_sum_is_one(counts: Counts) -> None:
    found = shares({version: version for version in counts}, counts)
    assert min(found.values()) >= 0.02
    assert sum(found.values()) == pytest.approx(1, abs=1e-9)
    assert found == shares({version: version for version in counts}, counts), "the same counts, the same shares"


def test_the_chance_to_be_best_is_exact_for_two_small_posteriors() -> None:
    # P(X > Y) for X ~ Beta(2, 1), Y ~ Beta(1, 1) is the mean of X: 2/3.
    assert chances([(2, 1), (1, 1)])[0] == pytest.approx(2 / 3, abs=0.01)


def test_thompson_sampling_finds_the_better_version_from_delayed_feedback() -> None:
    """Feedback of a batch comes one batch late; rates 0.8 and 0.9."""
    chance = random.Random(3)
    counts, waiting = {"1": (0, 0), "2": (0, 0)}, list[tuple[str, bool]]()
    for _ in range(40):
        division = shares({"1": "1", "2": "2"}, counts)
        answered = chance.choices(list(division), list(division.values()), k=100)
        for version, right in waiting:
            counts[version] = (counts[version][0] + right, counts[version][1] + (not right))
        waiting = [(version, chance.random() < {"1": 0.8, "2": 0.9}[version]) for version in answered]
    assert shares({"1": "1", "2": "2"}, counts)["2"] > 0.95
    assert sum(counts["2"]) > 3 * sum(counts["1"])
