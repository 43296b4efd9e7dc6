"""kill -9 of the service, of Valkey and of PostgreSQL while features are brought online, and data that Valkey loses.

In the end everything is as it is without a fault.
"""

from collections.abc import Callable
from typing import Any

import pytest

from pantheon.errors import PantheonError
from tests.support.feature_writing import Writing
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)  # it starts Feast, which takes minutes on a busy machine
NOW = 1_795_000_000_000_000
ENTITIES = 10_000


@pytest.fixture(scope="module")
def loaded(process: Writing) -> Writing:
    """Two parts, so that the second has late rows, corrections and new values."""
    process.do("reset")
    process.part([[str(id), NOW + id, id / 7, id, f"battery {id}", None, NOW] for id in range(ENTITIES)])
    process.part([[str(id), NOW + id + id % 3 - 1, id / 3, id, "late", True, None] for id in range(0, ENTITIES, 2)])
    return process


@pytest.fixture(scope="module")
def expected(loaded: Writing) -> Any:
    """What is online without a fault."""
    loaded.do("flushall")
    assert loaded.do("materialise")["robots"]["written"] == ENTITIES
    return loaded.do("dump")


@pytest.fixture
def halfway(loaded: Writing, expected: Any) -> Callable[[], None]:
    """Returns in the middle of a materialisation of everything."""

    def begin() -> None:
        loaded.do("flushall")
        loaded.begin("materialise")
        until(lambda: loaded.valkey.keys > 500, 120, "rows in Valkey")
        assert loaded.valkey.keys < ENTITIES

    return begin


def test_kill_9_of_the_service(loaded: Writing, expected: Any, halfway: Callable[[], None]) -> None:
    halfway()
    loaded.kill()
    assert 0 < loaded.valkey.keys < ENTITIES
    loaded.start()
    loaded.define()
    assert loaded.do("dump") != expected
    loaded.do("materialise")
    assert loaded.do("dump") == expected
    assert loaded.do("materialise")["robots"]["read"] == 0


def test_kill_9_of_valkey(loaded: Writing, expected: Any, halfway: Callable[[], None]) -> None:
    halfway()
    loaded.valkey.kill()
    with pytest.raises(PantheonError, match="Valkey does not answer"):
        loaded.answer()
    loaded.valkey.start()
    assert 0 < loaded.valkey.keys < ENTITIES, "what was written is in its file"
    loaded.do("materialise")
    assert loaded.do("dump") == expected


def test_valkey_loses_everything_in_the_middle(loaded: Writing, expected: Any, halfway: Callable[[], None]) -> None:
    halfway()
    loaded.valkey.ask("FLUSHALL")
    assert loaded.answer()["robots"]["rebuilt"]
    assert loaded.do("dump") == expected


def test_the_files_of_valkey_are_lost(loaded: Writing, expected: Any) -> None:
    loaded.valkey.kill()
    loaded.valkey.wipe()
    loaded.valkey.start()
    assert loaded.valkey.keys == 0
    counts = loaded.do("materialise")["robots"]
    assert (counts["rebuilt"], counts["written"]) == (True, ENTITIES)
    assert loaded.do("dump") == expected


def test_kill_9_of_postgresql(loaded: Writing, expected: Any, halfway: Callable[[], None]) -> None:
    before = loaded.do("intervals", view="robots")
    halfway()
    loaded.postgres.kill()
    with pytest.raises(PantheonError, match="PostgreSQL does not answer") as refused:
        loaded.answer()
    assert "logs --service postgres" in refused.value.cure
    loaded.postgres.start()
    counts = loaded.do("materialise")["robots"]
    assert loaded.do("dump") == expected
    assert len(loaded.do("intervals", view="robots")) == len(before) + 1, "the registry knows what it missed"
    assert counts["read"] == 0, "everything was online already"
