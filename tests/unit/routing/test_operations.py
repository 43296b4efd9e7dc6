"""What commands do with a policy: each sets its part, refuses what cannot be, and shows what it means now."""

from pathlib import Path
from typing import Any

import pytest

from pantheon.errors import PantheonError
from pantheon.routing import operations as route
from pantheon.routing import policy as policies
from pantheon.routing.shares import owned
from pantheon.store import Damaged, FolderStore, StoredPolicy
from pantheon.store.operations import plan


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Return a store with versions 1 (champion), 2 (challenger) and 3."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"onnx")
    store = FolderStore(tmp_path / "models")
    for _ in range(3):
        store.publish("robots", tmp_path / "bundle", {})
    store.promote("robots", "1")
    store.promote("robots", "2", "challenger")
    return store


def traffic(shown: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(each["arm"], each["version"], each["share"]) for each in shown["traffic"]]


def test_without_a_policy_the_champion_answers(store: FolderStore) -> None:
    shown = route.show(store, "robots")
    assert (shown["set"], traffic(shown), shown["problems"]) == (False, [("champion", "1", 1.0)], [])
    with pytest.raises(PantheonError, match="has no champion"):
        route.show(store, "wine")


def test_weights_are_set_changed_and_replaced_by_a_pin(store: FolderStore) -> None:
    shown = route.weights(store, "robots", {"challenger": 10}, "ada", "carefully")
    assert traffic(shown) == [("champion", "1", 0.9), ("challenger", "2", 0.1)]
    assert (shown["by"], shown["note"]) == ("ada", "carefully")
    route.sticky(store, "robots", "X-Customer")
    shown = route.weights(store, "robots", {"challenger": 20, "3": 5})
    assert [(arm, share) for arm, _, share in traffic(shown)] == [("champion", 0.75), ("challenger", 0.2), ("3", 0.05)]
    assert (shown["sticky"], shown["traffic"][0]["reason"]) == ("x-customer", "sticky")
    shown = route.pin(store, "robots", "3")
    assert (traffic(shown), shown["sticky"]) == ([("3", "3", 1.0)], "")
    shown = route.pin(store, "robots", "")
    assert not shown["set"]


def test_changed_weights_move_only_the_slots_that_must_move(store: FolderStore) -> None:
    def split() -> policies.Segments:
        stored = store.policy("robots")
        assert stored
        return policies.read(stored, "robots").split

    route.weights(store, "robots", {"challenger": 10, "3": 10})
    before = split()
    route.weights(store, "robots", {"challenger": 20, "3": 10})
    assert owned(split())["3"] == owned(before)["3"]
    unmoved = [(end, arm) for end, arm in before if arm == "3"]
    assert all(part in split() for part in unmoved)


def test_header_rules_and_shadows_are_added_and_removed(store: FolderStore) -> None:
    route.header(store, "robots", "X-Beta", "yes", "challenger")
    shown = route.header(store, "robots", "x-beta", "new", "3")
    assert [(h["value"], h["to"], h["version"]) for h in shown["headers"]] == [
        ("yes", "challenger", "2"),
        ("new", "3", "3"),
    ]
    assert route.header(store, "robots", "x-beta", "yes", "")["headers"] == shown["headers"][1:]
    with pytest.raises(PantheonError, match="no rule for the header x-beta: yes"):
        route.header(store, "robots", "x-beta", "yes", "")
    assert route.shadow(store, "robots", ["challenger"])["shadows"] == [{"to": "challenger", "version": "2"}]
    assert route.shadow(store, "robots", [])["shadows"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda store: route.weights(store, "robots", {"9": 10}), "no version 9"),
        (lambda store: route.pin(store, "robots", "beta"), "has no beta"),
        (lambda store: route.sticky(store, "robots", "key"), "only weights can be sticky"),
        (lambda store: route.bandit(store, "robots", ["champion"]), "2 to 10 versions"),
        (lambda store: route.header(store, "robots", "Cookie", "a", "2"), "carries a secret"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(store: FolderStore, change: Any, message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        change(store)
    assert store.policy("robots") is None


def test_of_two_changes_at_the_same_time_one_is_refused(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    route.pin(store, "robots", "2")
    stale = store.policy("robots")
    route.pin(store, "robots", "3")
    monkeypatch.setattr(store, "policy", lambda name: stale)
    with pytest.raises(PantheonError, match="changed in the meantime"):
        route.shadow(store, "robots", ["2"])


def test_an_approved_challenger_leaves_its_share_to_the_champion(store: FolderStore) -> None:
    route.weights(store, "robots", {"challenger": 10})
    store.approve("robots")
    shown = route.show(store, "robots")
    assert {version for _, version, _ in traffic(shown)} == {"2"}
    assert shown["problems"] == [
        "The policy names challenger, but there is no challenger now. The champion answers instead."
    ]


@pytest.mark.parametrize("content", [None, {"colour": "red"}])
def test_a_damaged_policy_is_shown_with_its_cure_and_cleared(
    store: FolderStore, content: dict[str, object] | None
) -> None:
    if content is None:
        (store.root / "robots" / "policy.json").write_text("{")
    else:
        store.swap_policy("robots", StoredPolicy.new(content, ()), None)
    shown = route.show(store, "robots")
    assert traffic(shown) == [("champion", "1", 1.0)]
    assert "is damaged: " in shown["trouble"]
    assert "`bin/pantheon route clear --model robots`" in shown["cure"]
    with pytest.raises(Damaged):
        route.pin(store, "robots", "2")
    assert route.clear(store, "robots")["trouble"] == ""
    assert store.policy("robots") is None


def test_a_version_of_the_policy_is_kept_by_the_cleanup(store: FolderStore) -> None:
    store.drop("robots", "challenger", expected="2")
    assert "2" not in plan(store, "robots", keep=1, older_than="")["keep"]
    route.shadow(store, "robots", ["2"])
    assert plan(store, "robots", keep=1, older_than="")["keep"]["2"] == "the routing policy names it"


def test_the_bandit_learns_and_keeps_who_set_it(store: FolderStore) -> None:
    assert not route.learn(store, "robots", {"1": (5, 5)})
    shown = route.bandit(store, "robots", ["champion", "challenger"], by="ada", note="try")
    assert [share for _, _, share in traffic(shown)] == [0.5, 0.5]
    assert route.learn(store, "robots", {"1": (50, 50), "2": (90, 10), "3": (9, 9)})
    learnt = route.show(store, "robots")
    assert [share for _, _, share in traffic(learnt)] == pytest.approx([0.02, 0.98])
    assert learnt["bandit"]["counts"] == {"1": (50, 50), "2": (90, 10)}
    assert (learnt["by"], learnt["note"], learnt["since"]) == ("ada", "try", shown["since"])
    assert not route.learn(store, "robots", {"1": (51, 50), "2": (90, 10)}), "too small a change to write"


def test_the_recommendation_is_about_the_challenger_or_a_version(store: FolderStore) -> None:
    counts = {"1": (800, 200), "2": (950, 50)}
    assert route.recommend(store, "robots", counts)["verdict"] == "promote"
    assert route.recommend(store, "robots", counts, "3")["sentence"].startswith("Not decided: nobody has judged")
    with pytest.raises(PantheonError, match="the champion itself"):
        route.recommend(store, "robots", counts, "1")
