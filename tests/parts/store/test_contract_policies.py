"""The contract of model stores about routing policies, tested with a folder, SeaweedFS and moto's server."""

import json
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import ANY, Damaged, ModelStore, StoredPolicy
from tests.support.stores import Place


def test_a_policy_is_swapped_only_if_it_is_the_expected_one(store: ModelStore, place: Place, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    assert store.policy("robots") is None
    first, second = (StoredPolicy.new({"pin": "1", "é": [1]}, ("1",), "ada", note) for note in ("one", "two"))
    assert not store.swap_policy("robots", first, "token of nothing")
    assert store.swap_policy("robots", first, None)
    assert not store.swap_policy("robots", second, None)
    other = place.open(1)
    assert other.policy("robots") == store.policy("robots") == first
    assert other.swap_policy("robots", second, first.token)
    assert not store.swap_policy("robots", None, first.token)
    assert store.policy("robots") == second
    assert store.swap_policy("robots", None, second.token)
    assert other.policy("robots") is None
    assert not store.swap_policy("robots", None, second.token)
    assert store.swap_policy("robots", first, None)
    assert store.names() == ["robots"]
    assert store.aliases("robots") == ["champion"]


def test_a_version_that_the_policy_names_is_not_removed(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    policy = StoredPolicy.new({"pin": "2"}, ("2",))
    store.swap_policy("robots", policy, None)
    with pytest.raises(PantheonError, match="the routing policy of robots names version 2"):
        store.remove("robots", "2")
    store.remove("robots", "1")
    store.swap_policy("robots", None, policy.token)
    store.remove("robots", "2")
    assert store.list("robots") == []


def test_a_damaged_policy_is_named_and_can_be_replaced(store: ModelStore, place: Place, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    good = StoredPolicy.new({"pin": "1"}, ("1",)).as_dict()
    damage = {
        "cut short": "{",
        "no object": "[]",
        "empty": "",
        "no policy": json.dumps(good | {"policy": "pin"}),
        "no token": json.dumps(good | {"token": ""}),
        "a number for a version": json.dumps(good | {"versions": [1]}),
        "no date": json.dumps(good | {"since": 5}),
        "a key too many": json.dumps(good | {"colour": "red"}),
        "a key too few": json.dumps({"policy": {}}),
    }
    for what, text in damage.items():
        place.write("robots/policy.json", text)
        for ask in (lambda: store.policy("robots"), lambda: store.swap_policy("robots", None, None)):
            with pytest.raises(Damaged, match=r"robots/policy\.json is damaged: ") as error:
                ask()
        assert "`bin/pantheon route clear --model robots`" in error.value.cure, what
        assert store.resolve("robots").version == "1", "the champion is not affected"
    new = StoredPolicy.new({"pin": "champion"}, ())
    assert store.swap_policy("robots", new, ANY)
    assert store.policy("robots") == new
    place.write("robots/policy.json", "{")
    assert store.swap_policy("robots", None, ANY)
    assert store.policy("robots") is None
