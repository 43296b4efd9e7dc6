"""Many publishers and many promotions at once, from processes on one machine and on several."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from pantheon.store import StoredPolicy
from tests.support.stores import RACED, Place

pytestmark = pytest.mark.slow


def _publish_many(
    place: Place, machine: int, bundle: Path, count: int, results: "multiprocessing.Queue[list[str]]"
) -> None:
    store = place.open(machine)
    results.put([store.publish("robots", bundle, {"by": os.getpid(), "n": n}) for n in range(count)])


def _all(target: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Run ``target`` in one process per item of ``arguments``; return what they put into the queue."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pantheon.store.s3.store", "boto3", "tests.store.test_races"])
    results = context.Queue()
    workers = [context.Process(target=target, args=(*given, results)) for given in arguments]
    for worker in workers:
        worker.start()
    result = [results.get(timeout=150) for _ in workers]
    for worker in workers:
        worker.join()
    return result


@pytest.mark.parametrize("place", RACED, indirect=True)
def test_sixteen_publishers_at_once_never_share_a_version(place: Place, bundle: Path) -> None:
    count = 13
    machines = [0] * 14 + [1, 2]
    answers = _all(_publish_many, [(place, machine, bundle, count) for machine in machines])
    taken = [version for answer in answers for version in answer]
    assert sorted(map(int, taken)) == list(range(1, 16 * count + 1))
    store = place.open()
    listed = store.list("robots")
    assert [v.version for v in listed] == [str(n) for n in range(1, 16 * count + 1)]
    assert len({(v.metadata["by"], v.metadata["n"]) for v in listed}) == 16 * count  # each has one owner
    assert [store.verify("robots", v.version) for v in listed] == [[]] * len(listed)


def _swap_many(place: Place, machine: int, results: "multiprocessing.Queue[int]") -> None:
    store = place.open(machine)
    won = 0
    for _ in range(10):
        now = store.resolve("robots")
        if store.swap("robots", "2" if now.version == "1" else "1", "champion", expected=now.version):
            won += 1
    results.put(won)


@pytest.mark.parametrize("place", RACED, indirect=True)
def test_concurrent_moves_of_an_alias_are_not_lost(place: Place, bundle: Path) -> None:
    store = place.open()
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "1")
    won = sum(_all(_swap_many, [(place, machine) for machine in range(4)]))
    # Each won move flips 1 and 2, so the parity of the moves is what the alias names at the end.
    assert won >= 10
    assert store.resolve("robots").version == ("1" if won % 2 == 0 else "2")
    history = store.history("robots")
    assert (history is None) == (place.kind == "folder")
    if history is not None:
        assert len(history) == won + 1


def _change_policy_many(place: Place, machine: int, results: "multiprocessing.Queue[int]") -> None:
    """Count up in the policy; only a change of what was read counts."""
    store = place.open(machine)
    won = 0
    for _ in range(10):
        now = store.policy("robots")
        assert now
        won += store.swap_policy("robots", now.changed({"count": now.policy["count"] + 1}), now.token)
    results.put(won)


@pytest.mark.parametrize("place", RACED, indirect=True)
def test_concurrent_changes_of_a_policy_are_not_lost(place: Place) -> None:
    place.open().swap_policy("robots", StoredPolicy.new({"count": 0}, ()), None)
    won = sum(_all(_change_policy_many, [(place, machine) for machine in range(4)]))
    stored = place.open().policy("robots")
    assert stored
    assert stored.policy["count"] == won >= 10
