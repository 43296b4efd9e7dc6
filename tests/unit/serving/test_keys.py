"""API keys: only hashes are stored, and limits count the last 60 seconds exactly."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon import keys
from pantheon.errors import PantheonError
from pantheon.keys import Key, Keyring
from serving.inference.access import Rates


def test_a_token_is_found_by_its_hash_only(tmp_path: Path) -> None:
    key, token = keys.add(tmp_path, "shop", models=["robots"], per_minute=60)
    stored = keys.keys_file(tmp_path).read_text()
    assert token not in stored
    assert json.loads(stored)["keys"][0]["hash"] == keys.hash_of(token)
    assert len(token) > 50
    ring = Keyring(keys.read(tmp_path))
    assert ring.find(token) == key
    for wrong in ("", token[:-1], token + "x", key.hash, "é", "x" * 10_000):
        assert ring.find(wrong) is None


def test_scopes() -> None:
    assert Key("a", "").opens("robots")
    assert not Key("a", "", models=("hours",)).opens("robots")
    assert not Key("a", "", kind="metrics").opens("robots")


def test_revoked_and_unknown_names(tmp_path: Path) -> None:
    keys.add(tmp_path, "shop")
    with pytest.raises(PantheonError, match="already a key 'shop'"):
        keys.add(tmp_path, "shop")
    keys.revoke(tmp_path, "shop")
    assert keys.read(tmp_path) == ()
    with pytest.raises(PantheonError, match="no key 'shop'"):
        keys.revoke(tmp_path, "shop")


@pytest.mark.parametrize("name", ["", "Shop", "a b", "-a", "a" * 64, "../a"])
def test_invalid_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(PantheonError, match="not a valid name"):
        keys.add(tmp_path, name)


def test_a_limit_out_of_range(tmp_path: Path) -> None:
    for limit in (-1, 100_001):
        with pytest.raises(PantheonError, match="rate limit"):
            keys.add(tmp_path, "shop", per_minute=limit)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    keys.keys_file(tmp_path).parent.mkdir()
    for content in ("[]", "{", '{"keys": [{"name": "a", "hash": "zz"}]}', '{"keys": [{"name": 1}]}'):
        keys.keys_file(tmp_path).write_text(content)
        with pytest.raises(PantheonError, match=r"keys\.json is damaged"):
            keys.read(tmp_path)


@given(st.integers(1, 5), st.lists(st.floats(0, 40), max_size=60))
def test_no_60_seconds_have_more_requests_than_the_limit(limit: int, pauses: list[float]) -> None:
    rates, key = Rates(), Key("a", "", per_minute=limit)
    now, allowed = 0.0, []
    for pause in pauses:
        now += pause
        wait = rates.take(key, now)
        inside = [moment for moment in allowed if moment + 60 - now > 0]
        assert (wait > 0) == (len(inside) >= limit)
        if wait == 0:
            allowed.append(now)
        else:
            assert wait <= 60.001


def test_a_changed_limit_keeps_what_was_counted() -> None:
    rates = Rates()
    for moment in range(3):
        assert rates.take(Key("a", "", per_minute=3), float(moment)) == 0
    assert rates.take(Key("a", "", per_minute=2), 3.0) > 0
    assert rates.take(Key("a", "", per_minute=4), 3.0) == 0
