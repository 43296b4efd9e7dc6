"""What every model store promises, whatever it is made of. A new implementation joins ``STORES`` and passes."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore, ModelStore

STORES: dict[str, Callable[[Path], ModelStore]] = {"folder": FolderStore}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModelStore]:
    yield STORES[request.param](tmp_path / "models")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "plots").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"onnx" * 1000)
    (folder / "signature.json").write_text("{}")
    (folder / "plots" / "roc.svg").write_text("<svg/>")
    return folder


def test_an_empty_store_has_nothing(store: ModelStore) -> None:
    assert store.names() == []
    assert store.list("robots") == []
    assert store.alias("robots") is None
    with pytest.raises(PantheonError, match="no champion"):
        store.resolve("robots")


def test_what_was_published_is_read_back(store: ModelStore, bundle: Path) -> None:
    version = store.publish("robots", bundle, {"run": "r1"})
    assert version == "1"
    folder = store.get("robots", version)
    for name in ("model.onnx", "signature.json", "plots/roc.svg"):
        assert (folder / name).read_bytes() == (bundle / name).read_bytes()
    (listed,) = store.list("robots")
    assert (listed.model, listed.version, listed.metadata) == ("robots", "1", {"run": "r1"})
    assert set(listed.files) == {"model.onnx", "signature.json", "plots/roc.svg"}
    assert store.names() == ["robots"]


def test_versions_count_upwards_and_are_listed_as_numbers(store: ModelStore, bundle: Path) -> None:
    versions = [store.publish("robots", bundle, {}) for _ in range(11)]
    assert versions == [str(n) for n in range(1, 12)]
    assert [v.version for v in store.list("robots")] == versions


def test_models_do_not_share_versions(store: ModelStore, bundle: Path) -> None:
    assert store.publish("robots", bundle, {}) == store.publish("wine", bundle, {}) == "1"
    assert store.names() == ["robots", "wine"]


def test_an_alias_says_what_it_names_since_when_and_what_before(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.publish("robots", bundle, {})
    store.promote("robots", "1", by="ada", note="first")
    alias = store.promote("robots", "2", expected="1", by="grace")
    assert (alias.version, alias.previous, alias.by) == ("2", "1", "grace")
    assert alias == store.resolve("robots")


def test_an_alias_moves_only_from_what_was_expected(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    assert store.swap("robots", "1", "champion", expected=None)
    assert not store.swap("robots", "2", "champion", expected=None)
    assert not store.swap("robots", "2", "champion", expected="7")
    assert store.resolve("robots").version == "1"
    with pytest.raises(PantheonError, match="version 1"):
        store.promote("robots", "2", expected=None)


def test_an_alias_never_names_a_version_that_is_not_there(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    with pytest.raises(PantheonError, match="no version 2"):
        store.promote("robots", "2")
    assert store.alias("robots") is None


def test_a_challenger_is_held_with_a_note_then_approved(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "1")
    store.promote("robots", "2", "challenger")
    held = store.hold("robots", by="ada", note="wait for Monday's data")
    assert (held.version, held.note) == ("2", "wait for Monday's data")
    assert store.resolve("robots").version == "1"
    approved = store.approve("robots", version="2", by="grace", note="fine")
    assert (approved.version, approved.previous, approved.by, approved.note) == ("2", "1", "grace", "fine")
    assert store.alias("robots", "challenger") is None


def test_a_person_approves_the_version_they_looked_at(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "2", "challenger")
    with pytest.raises(PantheonError, match="challenger of robots is version 2, not 1"):
        store.approve("robots", version="1")
    with pytest.raises(PantheonError, match="no challenger"):
        store.approve("wine")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "/etc", "x" * 101])
def test_a_name_is_never_a_path(store: ModelStore, bundle: Path, name: str) -> None:
    with pytest.raises(PantheonError, match="cannot name a model"):
        store.publish(name, bundle, {})
    with pytest.raises(PantheonError, match="cannot name a model"):
        store.alias(name)


@pytest.mark.parametrize("version", ["", "0", "latest", "../1", "1/2", "-1"])
def test_a_version_is_a_whole_number(store: ModelStore, bundle: Path, version: str) -> None:
    store.publish("robots", bundle, {})
    with pytest.raises(PantheonError, match="not a version"):
        store.get("robots", version)


def test_nothing_is_published_from_an_empty_folder(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PantheonError, match="no files"):
        store.publish("robots", tmp_path / "empty", {})
    assert store.list("robots") == []


def test_metadata_that_is_no_json_publishes_nothing(store: ModelStore, bundle: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.publish("robots", bundle, {"score": float("nan")})
    assert store.list("robots") == []
    assert store.publish("robots", bundle, {}) == "1"


def _publish_many(make: str, root: Path, bundle: Path, count: int, results: "multiprocessing.Queue[list[str]]") -> None:
    store = STORES[make](root)
    results.put([store.publish("robots", bundle, {}) for _ in range(count)])


@pytest.mark.slow
@pytest.mark.parametrize("make", sorted(STORES))
def test_eight_publishers_at_once_never_share_a_version(make: str, tmp_path: Path, bundle: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = context.Queue()
    root = tmp_path / "models"
    workers = [context.Process(target=_publish_many, args=(make, root, bundle, 25, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    taken = [version for _ in workers for version in results.get(timeout=120)]
    for worker in workers:
        worker.join()
    assert sorted(map(int, taken)) == list(range(1, 201))
    store = STORES[make](root)
    assert [v.version for v in store.list("robots")] == [str(n) for n in range(1, 201)]
    for version in taken:
        store.get("robots", version)


def _swap_many(make: str, root: Path, worker: int, results: "multiprocessing.Queue[int]") -> None:
    store = STORES[make](root)
    won = 0
    for _ in range(25):
        now = store.resolve("robots")
        if store.swap("robots", "2" if now.version == "1" else "1", "champion", expected=now.version, by=str(worker)):
            won += 1
    results.put(won)


@pytest.mark.slow
@pytest.mark.parametrize("make", sorted(STORES))
def test_an_alias_moved_by_many_loses_no_move(make: str, tmp_path: Path, bundle: Path) -> None:
    store = STORES[make](tmp_path / "models")
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "1")
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_swap_many, args=(make, tmp_path / "models", n, results)) for n in range(4)]
    for worker in workers:
        worker.start()
    won = sum(results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    # Each won move flips 1 and 2, so the parity of the moves is what the alias names at the end.
    assert won >= 25
    assert store.resolve("robots").version == ("1" if won % 2 == 0 else "2")


def test_the_manifest_is_plain_json(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {"run": "r1"})
    manifest = json.loads((store.get("robots", "1") / "manifest.json").read_text())
    assert manifest["files"]["model.onnx"]["size"] == 4000
    assert set(manifest) == {"model", "version", "created", "files", "metadata"}
