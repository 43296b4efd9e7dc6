"""kill -9 of those who write, and two services at once: what was acknowledged is in the log exactly once.

``tests/parts/serving/test_inference_faults.py`` kills the endpoint and the service under load.
"""

import time
from pathlib import Path

import pytest

from pantheon.predictions.place import open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.segments import segments
from pantheon.predictions.service import Service
from tests.support.prediction_writer import Writer, chance, start_service
from tests.support.waiting import until

KILLS = 20


def assert_complete(state: Path, spool: Path, acknowledged: list[str], unacknowledged: int) -> None:
    """Every acknowledged id is in the log once, with its feedback; at most so many others are in it."""
    found = predictions(open_place(state), spool)
    assert found["id"].is_unique().all()
    assert set(acknowledged) <= set(found["id"])
    assert found.height - len(acknowledged) <= unacknowledged
    assert found["correct"].is_null().sum() <= unacknowledged  # killed between a record and its feedback


def finish(state: Path, spool: Path) -> None:
    """Store what is left."""
    told: list[str] = []
    assert Service(state, spool, None, told.append).look(), told
    assert segments(spool) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", ["folder"], indirect=True)
def test_writers_alone_are_killed_at_the_highest_rate(state: Path, tmp_path: Path) -> None:
    spool, acknowledged = tmp_path / "spool", list[str]()
    for _ in range(KILLS):
        writer = Writer(spool)
        time.sleep(chance(0.25, 0.5))
        acknowledged += writer.kill()
    finish(state, spool)
    assert_complete(state, spool, acknowledged, KILLS)


@pytest.mark.parametrize("state", ["folder"], indirect=True)
def test_two_services_do_not_store_at_once(state: Path, tmp_path: Path) -> None:
    """As when one release replaces the other."""
    spool, log = tmp_path / "spool", tmp_path / "log"
    first, second = start_service(state, spool, log), start_service(state, spool, log)
    writer = Writer(spool, pause=0.001)
    try:
        until(lambda: log.read_text().count("storing what is in") == 2)
        until(lambda: "Another process stores what is in" in log.read_text())
        time.sleep(1)  # of storing by one, while the other waits
        first.terminate()
        assert first.wait(timeout=60) == 0
        time.sleep(1)
    finally:
        acknowledged = writer.kill()
        second.terminate()
        assert second.wait(timeout=60) == 0
        first.wait()
    finish(state, spool)
    assert_complete(state, spool, acknowledged, 1)
    assert log.read_text().count("Another process stores what is in") == 1
