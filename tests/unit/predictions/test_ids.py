"""Ids increase, are valid, and carry their time."""

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from pantheon.predictions import ids
from pantheon.predictions.ids import new_id, time_of


def test_ids_are_valid_increase_and_have_their_time() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = [new_id() for _ in range(20_000)]  # more than a millisecond has numbers for
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(str(uuid.UUID(each)) == each for each in made[:100])
    assert {uuid.UUID(each).version for each in made} == {7}
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}
    assert before <= time_of(made[0]) <= time_of(made[-1]) <= datetime.now(UTC) + timedelta(milliseconds=20)


def test_ids_increase_although_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    earlier = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(ids.time, "time_ns", lambda: earlier)
    assert new_id() > first


def test_threads_share_no_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda own=own: own.extend(new_id() for _ in range(5000))) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for own in made for each in own}) == 20_000


@pytest.mark.parametrize("wrong", ["", "1", str(uuid.UUID(int=5)), "nonsense"])
def test_what_is_not_an_id_has_no_time(wrong: str) -> None:
    with pytest.raises(ValueError):
        time_of(wrong)
