"""The routing policy of an InferenceService: set and restored by steps that may be interrupted and repeated."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.kubeflow.inference import traffic
from pantheon.kubeflow.inference.traffic import Changed, Owner, Taken
from pantheon.routing import operations
from pantheon.store import ANY, FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Models ``robots`` with versions 1 (the champion) to 4, and ``houses`` with version 1."""
    made = FolderStore(tmp_path / "models")
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.onnx").write_bytes(b"weights")
    for name in ("robots", "robots", "robots", "robots", "houses"):
        made.publish(name, files, {})
    for name in ("robots", "houses"):
        made.promote(name, "1")
    return made


def owner(tmp_path: Path, name: str = "shop", generation: int = 1) -> Owner:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return Owner(f"default/{name}", folder, generation, "ada")


def shares(store: FolderStore, model: str = "robots") -> dict[str, float]:
    return {each["arm"]: round(each["share"], 4) for each in operations.show(store, model)["traffic"]}


def test_again_changes_nothing_and_versions_are_kept_from_removal(store: FolderStore, tmp_path: Path) -> None:
    operations.pin(store, "robots", "3", "a person")
    before = store.policy("robots")
    first = traffic.ensure(store, "robots", {"1": 80, "2": 20, "4": 0}, owner(tmp_path))
    assert traffic.ensure(store, "robots", {"1": 80, "2": 20, "4": 0}, owner(tmp_path)).token == first.token
    assert (first.by, first.note) == ("ada", "InferenceService default/shop")
    assert shares(store) == {"1": 0.8, "2": 0.2}
    for version in ("2", "3", "4"):  # a canary, the policy from before, a canary without traffic
        with pytest.raises(PantheonError, match=f"the routing policy of robots names version {version}"):
            store.remove("robots", version)
    traffic.restore(store, owner(tmp_path))
    assert store.policy("robots") == before
    traffic.restore(store, owner(tmp_path))
    assert store.policy("robots") == before
    store.remove("robots", "4")


def test_a_kill_at_any_moment_loses_nothing(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.weights(store, "robots", {"2": 5}, "a person")
    before = store.policy("robots")

    class Killed(Exception):
        pass

    def die(*_: object) -> bool:
        raise Killed

    def killed_at(what: str) -> None:
        """Set the policy, but end when ``what`` is called."""
        with monkeypatch.context() as patch, pytest.raises(Killed):
            if what == "swap":
                patch.setattr(FolderStore, "swap_policy", die)
            else:
                written = traffic.files.write_json
                patch.setattr(
                    traffic.files,
                    "write_json",
                    lambda path, *a, **k: die() if path.name == what else written(path, *a, **k),
                )
            traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path))

    killed_at("before.json")
    assert store.policy("robots") == before
    killed_at("swap")
    assert store.policy("robots") == before
    killed_at("applied.json")
    assert shares(store) == {"3": 1.0}
    traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path))
    traffic.restore(store, owner(tmp_path))
    assert store.policy("robots") == before


def test_another_model_gives_the_first_one_back(store: FolderStore, tmp_path: Path) -> None:
    operations.pin(store, "robots", "2", "a person")
    traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path))
    traffic.ensure(store, "houses", {"1": 100}, owner(tmp_path, generation=2))
    assert shares(store) == {"2": 1.0}
    traffic.restore(store, owner(tmp_path, generation=2))
    assert store.policy("houses") is None


def test_a_person_and_another_object_are_not_overruled(store: FolderStore, tmp_path: Path) -> None:
    traffic.ensure(store, "robots", {"2": 100}, owner(tmp_path))
    with pytest.raises(Taken, match="robots is served by the InferenceService default/shop"):
        traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path, "second"))
    traffic.restore(store, owner(tmp_path, "second"))
    assert shares(store) == {"2": 1.0}, "the second has nothing to give back"
    operations.clear(store, "robots")
    with pytest.raises(Changed, match="the routing policy of robots was changed since"):
        traffic.ensure(store, "robots", {"2": 100}, owner(tmp_path))
    operations.pin(store, "robots", "4", "bob")
    with pytest.raises(Changed, match="was changed by bob since"):
        traffic.ensure(store, "robots", {"2": 100}, owner(tmp_path))
    traffic.restore(store, owner(tmp_path))
    assert shares(store) == {"4": 1.0}, "what a person set since stays after the deletion"
    traffic.ensure(store, "robots", {"2": 100}, owner(tmp_path, generation=2))
    assert shares(store) == {"2": 1.0}, "a new spec takes over"
    traffic.restore(store, owner(tmp_path))
    assert shares(store) == {"4": 1.0}


@pytest.mark.parametrize("percent", [{"9": 100}, {"nobody": 100}, {"1": 90, "9": 10}])
def test_what_does_not_exist_changes_nothing(store: FolderStore, tmp_path: Path, percent: dict[str, int]) -> None:
    with pytest.raises(PantheonError):
        traffic.ensure(store, "robots", percent, owner(tmp_path))
    with pytest.raises(PantheonError, match="has no champion"):
        traffic.ensure(store, "nothing", {"1": 100}, owner(tmp_path))
    assert store.policy("robots") is None
    assert not list(owner(tmp_path).folder.iterdir())


def test_a_damaged_policy_is_said_and_not_kept(store: FolderStore, tmp_path: Path) -> None:
    operations.pin(store, "robots", "2")
    (tmp_path / "models" / "robots" / "policy.json").write_text("{")
    with pytest.raises(PantheonError, match="is damaged"):
        traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path))
    store.swap_policy("robots", None, ANY)
    traffic.ensure(store, "robots", {"3": 100}, owner(tmp_path))
    (tmp_path / "models" / "robots" / "policy.json").write_text("{")
    traffic.restore(store, owner(tmp_path))  # does not fail for ever
