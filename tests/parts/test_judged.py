"""From the prediction log to the bandit and the test: delayed, doubled, forged and mixed feedback counts once."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon import judged
from pantheon.predictions.ids import new_id
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.records import Answered, Feedback
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool
from pantheon.routing import operations as route
from pantheon.routing.bandit import posterior, shares
from pantheon.routing.policy import read
from pantheon.store import FolderStore
from tests.support.stores import bundle

__all__ = ["bundle"]
REASONS = ["bandit", "bandit", "header", "weights"]
Said = tuple[int, int, bool | None]  # which answer (or none of ours), when, and the judgement


def now() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


@pytest.fixture
def store(tmp_path: Path, bundle: Path) -> FolderStore:
    """Return a deployment's store with a champion (1) and a challenger (2), between which a bandit decides."""
    store = FolderStore(tmp_path / "models")
    for alias in ("champion", "challenger"):
        store.promote("robots", store.publish("robots", bundle, {}), alias)
    route.bandit(store, "robots", ["champion", "challenger"])
    return store


def log(state: Path, records: list[tuple[Answered | Feedback, bool]]) -> None:
    """Write records to the spool; after each one that is marked, store what was written until then."""
    for record, stored in records:
        spool = Spool(spool_of(state))
        if isinstance(record, Answered):
            spool.answered(record, b'[{"x": 1}]', b'{"prediction": [1]}')
        else:
            spool.feedback(record)
        spool.close()
        if stored:
            ship(open_place(state), spool_of(state))


def answered(version: str, reason: str = "bandit") -> Answered:
    return Answered(new_id(), now(), "robots", version, version, reason, "shop", 1.0, 200)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(REASONS)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 99), st.sampled_from([True, False, None])), max_size=9),
    st.randoms(use_true_random=False),
)
def test_the_posterior_equals_one_that_is_recomputed_from_all_records(
    store: FolderStore,
    tmp_path_factory: pytest.TempPathFactory,
    answers: list[tuple[str, str]],
    said: list[Said],
    chance: random.Random,
) -> None:
    state = tmp_path_factory.mktemp("state")
    records: list[Answered | Feedback] = [answered(version, reason) for version, reason in answers]
    ids = [each.id for each in records] + [new_id() for _ in range(8)]  # the others were never answered: forged
    seen: set[tuple[int, int]] = set()
    for which, at, right in said:
        if (which, at) not in seen:  # two at the same microsecond: any may count
            seen.add((which, at))
            records.append(Feedback(ids[which], 0, now() + at, right, None, "", "shop", "endpoint"))
    records += chance.sample(records[len(answers) :], (len(records) - len(answers)) // 2)  # sent twice
    chance.shuffle(records)  # some before their answer
    log(state, [(record, chance.random() < 0.3) for record in records])

    last = {each.id: each for each in sorted((r for r in records if isinstance(r, Feedback)), key=lambda r: r.at)}
    expected: Counter[tuple[str, bool]] = Counter()
    for record in records:
        if isinstance(record, Answered) and record.reason == "bandit" and record.id in last:
            right = last[record.id].correct
            expected.update([(record.version, right)] if right is not None else [])
    found = judged.counts(state, "robots", reasons=["bandit"])
    assert {v: (expected[v, True], expected[v, False]) for v, _ in expected} == found
    assert posterior(found) == {v: (1 + expected[v, True], 1 + expected[v, False]) for v, _ in expected}


def test_a_bandit_learns_from_the_log_and_from_its_own_time_only(store: FolderStore, tmp_path: Path) -> None:
    assert judged.learn(tmp_path, store) == []  # no feedback: equal shares, as before
    given_ = [answered("1"), *(answered("2") for _ in range(3))]
    before = Answered(new_id(), now() - 10**7, "robots", "1", "champion", "bandit", "", 1.0, 200)
    judgements = [Feedback(each.id, 0, now(), each.version == "2", None, "", "", "") for each in [*given_, before]]
    log(tmp_path, [(record, False) for record in [*given_, before, *judgements]])
    assert judged.learn(tmp_path, store) == ["robots"]
    stored = store.policy("robots")
    assert stored
    bandit = read(stored, "robots").bandit
    assert bandit
    assert bandit.counts == {"1": (0, 1), "2": (3, 0)}
    assert bandit.shares == shares({"champion": "1", "challenger": "2"}, {"1": (0, 1), "2": (3, 0)})
    assert judged.learn(tmp_path, store) == []


def test_the_test_counts_answers_since_both_are_what_they_are(store: FolderStore, tmp_path: Path) -> None:
    assert judged.test(tmp_path, store, "robots")["verdict"] == "undecided"
    given_ = [answered("1"), answered("2"), answered("2", "header")]
    log(tmp_path, [(record, True) for each in given_ for record in (each, Feedback(each.id, 0, now(), True, None, "", "", ""))])  # fmt: skip # noqa: E501
    found = judged.test(tmp_path, store, "robots", "2")
    assert found["judged"] == {"1": 1, "2": 1}, "a header rule is not chance"
    challenger = store.alias("robots", "challenger")
    assert challenger
    assert judged.test(tmp_path, store, "robots")["since"] == challenger.since
