"""The contract of model stores, tested with a folder, S3 on SeaweedFS, and S3 on moto's server."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import Alias, Damaged, FolderStore, ModelStore, Version
from tests.support.stores import Place


def test_an_empty_store_has_nothing(store: ModelStore) -> None:
    assert store.names() == []
    assert store.list("robots") == []
    assert store.alias("robots") is None
    with pytest.raises(PantheonError, match="no champion"):
        store.resolve("robots")


def test_a_published_version_can_be_read(store: ModelStore, bundle: Path) -> None:
    version = store.publish("robots", bundle, {"run": "r1"})
    assert version == "1"
    folder = store.get("robots", version)
    for name in ("model.onnx", "signature.json", "plots/roc.svg"):
        assert (folder / name).read_bytes() == (bundle / name).read_bytes()
    (listed,) = store.list("robots")
    assert (listed.model, listed.version, listed.metadata) == ("robots", "1", {"run": "r1"})
    assert set(listed.files) == {"model.onnx", "signature.json", "plots/roc.svg"}
    assert store.names() == ["robots"]


def test_versions_are_numbered_upwards_and_sorted_as_numbers(store: ModelStore, bundle: Path) -> None:
    versions = [store.publish("robots", bundle, {}) for _ in range(11)]
    assert versions == [str(n) for n in range(1, 12)]
    assert [v.version for v in store.list("robots")] == versions


def test_models_do_not_share_versions(store: ModelStore, bundle: Path) -> None:
    assert store.publish("robots", bundle, {}) == store.publish("wine", bundle, {}) == "1"
    assert store.names() == ["robots", "wine"]


def test_an_alias_has_a_version_a_date_and_a_predecessor(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.publish("robots", bundle, {})
    store.promote("robots", "1", by="ada", note="first")
    alias = store.promote("robots", "2", expected="1", by="grace")
    assert (alias.version, alias.previous, alias.by) == ("2", "1", "grace")
    assert alias == store.resolve("robots")


def test_an_alias_moves_only_if_it_names_the_expected_version(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    assert store.swap("robots", "1", "champion", expected=None)
    assert not store.swap("robots", "2", "champion", expected=None)
    assert not store.swap("robots", "2", "champion", expected="7")
    assert store.resolve("robots").version == "1"
    with pytest.raises(PantheonError, match="version 1"):
        store.promote("robots", "2", expected=None)


def test_an_alias_cannot_name_a_missing_version(store: ModelStore, bundle: Path) -> None:
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


def test_approval_of_another_version_is_refused(store: ModelStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "2", "challenger")
    with pytest.raises(PantheonError, match="challenger of robots is version 2, not 1"):
        store.approve("robots", version="1")
    with pytest.raises(PantheonError, match="no challenger"):
        store.approve("wine")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "/etc", "x" * 101])
def test_a_name_is_never_a_path(store: ModelStore, bundle: Path, name: str) -> None:
    with pytest.raises(PantheonError, match="is not a valid name of a model"):
        store.publish(name, bundle, {})
    with pytest.raises(PantheonError, match="is not a valid name of a model"):
        store.alias(name)


@pytest.mark.parametrize("version", ["", "0", "latest", "../1", "1/2", "-1"])
def test_a_version_is_a_whole_number(store: ModelStore, bundle: Path, version: str) -> None:
    store.publish("robots", bundle, {})
    with pytest.raises(PantheonError, match="not a valid version"):
        store.get("robots", version)


def test_nothing_is_published_from_an_empty_folder(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PantheonError, match="no files"):
        store.publish("robots", tmp_path / "empty", {})
    assert store.list("robots") == []


def test_metadata_that_is_not_json_is_refused(store: ModelStore, bundle: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.publish("robots", bundle, {"score": float("nan")})
    assert store.list("robots") == []
    assert store.publish("robots", bundle, {}) == "1"


def test_the_manifest_is_plain_json(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {"run": "r1"})
    manifest = json.loads((store.get("robots", "1") / "manifest.json").read_text())
    assert manifest["files"]["model.onnx"]["size"] == 4000
    assert set(manifest) == {"model", "version", "created", "files", "metadata"}


def test_rollback_goes_to_the_previous_or_the_named_version(store: ModelStore, bundle: Path) -> None:
    with pytest.raises(PantheonError, match="no champion"):
        store.rollback("robots")
    for version in ("1", "2", "3"):
        store.publish("robots", bundle, {})
        store.promote("robots", version)
        if version == "1":
            with pytest.raises(PantheonError, match="first champion"):
                store.rollback("robots")
    back = store.rollback("robots", by="ada")
    assert (back.version, back.previous, back.by, back.note) == ("2", "3", "ada", "rollback from version 3")
    assert store.rollback("robots", to="1", note="older still").note == "older still"
    assert store.resolve("robots").version == "1"
    with pytest.raises(PantheonError, match="already the champion"):
        store.rollback("robots", to="1")
    with pytest.raises(PantheonError, match="no version 9"):
        store.rollback("robots", to="9")


def test_a_removed_version_is_gone_and_its_number_is_not_reused(store: ModelStore, bundle: Path) -> None:
    for _ in range(3):
        store.publish("robots", bundle, {})
    store.promote("robots", "2")
    with pytest.raises(PantheonError, match="version 2 of robots is its champion"):
        store.remove("robots", "2")
    store.remove("robots", "3")
    assert [v.version for v in store.list("robots")] == ["1", "2"]
    for gone in (store.get, store.verify, store.remove, store.describe):
        with pytest.raises(PantheonError, match="no version 3"):
            gone("robots", "3")
    with pytest.raises(PantheonError, match="no version 3"):
        store.promote("robots", "3")
    assert store.publish("robots", bundle, {}) == "4"
    assert store.last("robots") == 4


def test_take_stores_a_version_unchanged(store: ModelStore, bundle: Path, tmp_path: Path) -> None:
    other = FolderStore(tmp_path / "other")
    for _ in range(3):
        other.publish("robots", bundle, {"run": "r", "metric": {"name": "f1", "value": 0.5}})
    version = other.describe("robots", "3")
    assert store.take(version, other.get("robots", "3"))
    assert not store.take(version, other.get("robots", "3"))
    assert store.list("robots") == [version]
    assert store.publish("robots", bundle, {}) == "4"
    another = Version("robots", "3", version.created, version.files, {"run": "another"})
    with pytest.raises(PantheonError, match="another version 3 of robots"):
        store.take(another, bundle)
    changed = other.describe("robots", "1")
    (bundle / "model.onnx").write_bytes(b"else")
    with pytest.raises(PantheonError, match="differs from the published"):
        store.take(changed, bundle)
    assert [v.version for v in store.list("robots")] == ["3", "4"]


def test_take_alias_keeps_the_dates(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    record = Alias("1", "2024-05-01T10:00:00.000+00:00", "ada", "old", "7")
    store.take_alias("robots", "champion", record)
    store.take_alias("robots", "champion", record)
    assert store.alias("robots") == record
    assert store.aliases("robots") == ["champion"]


def test_numbers_can_be_reserved(store: ModelStore, bundle: Path) -> None:
    store.reserve("robots", 6)
    store.reserve("robots", 4)
    assert store.last("robots") == 6
    assert store.list("robots") == []
    assert store.publish("robots", bundle, {}) == "7"


def test_history_tells_the_champion_at_a_time(store: ModelStore, place: Place, bundle: Path) -> None:
    began = datetime.now(UTC)
    for version in ("1", "2"):
        store.publish("robots", bundle, {})
        store.promote("robots", version)
    store.promote("robots", "2", note="a note is no new date")
    store.rollback("robots")
    history = store.history("robots")
    if place.kind == "folder":
        assert history is None
        assert store.at("robots", datetime.now(UTC)) is None
        return
    assert history is not None
    assert [(a.version, a.previous) for a in history] == [("1", "2"), ("2", "1"), ("1", None)]
    assert history[1].note == "a note is no new date"
    for record in history:
        assert store.at("robots", datetime.fromisoformat(record.since)) == record
    assert store.at("robots", began - timedelta(seconds=1)) is None
    now = store.at("robots", datetime.now(UTC).replace(tzinfo=None))  # no zone is UTC
    assert now == store.alias("robots")


def test_sweep_keeps_complete_and_recent_versions(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    assert store.sweep("robots", 0) == []
    assert store.sweep("nobody", 0) == []
    assert [v.version for v in store.list("robots")] == ["1"]


def test_a_dropped_alias_can_be_set_again(store: ModelStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1", "challenger")
    assert not store.drop("robots", "challenger", expected="2")
    assert store.drop("robots", "challenger", expected="1")
    assert store.alias("robots", "challenger") is None
    assert store.aliases("robots") == []
    assert not store.drop("robots", "challenger", expected="1")
    assert store.swap("robots", "1", "challenger", expected=None)
    assert store.aliases("robots") == ["challenger"]


STRAY = {
    "notes.txt": "",
    "my notes/read me.txt": "of a person",
    "robots/README.md": "of a person",
    "robots/0/x.txt": "not a version",
    "robots/007/manifest.json": "{}",
    "robots/1 (copy)/manifest.json": "{}",
    "robots/aliases/": "",  # what S3 consoles make when somebody makes a folder
    "robots/aliases/README.md": "of a person",
    "robots/aliases/champion (copy).json": "{}",
    "robots/aliases/old/champion.json": "{}",
    "robots/claims/": "",
    "robots/claims/old/9.json": "{}",
    "robots/claims/0.json": "{}",
}


def test_other_files_beside_the_models_are_not_touched(store: ModelStore, place: Place, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    for path, text in STRAY.items():
        place.write(path, text)
    store = place.open(1)  # another machine, which has seen nothing yet
    assert store.names() == ["robots"]
    assert [v.version for v in store.list("robots")] == ["1"]
    assert store.damaged("robots") == {}
    assert store.aliases("robots") == ["champion"]
    assert store.last("robots") == 1
    assert store.sweep("robots", 0) == []
    assert store.publish("robots", bundle, {}) == "2"
    store.remove("robots", "2")
    if place.kind == "folder":
        assert all((place.folder / path).exists() for path in STRAY)


def _damage(manifest: dict[str, object]) -> dict[str, str]:
    """Invalid manifests, by what is wrong with them."""
    files = {"model.onnx": {"sha256": "ab", "size": "large"}}
    return {
        "cut short": "{",
        "no object": "[]",
        "empty": "",
        "no files": json.dumps(manifest | {"files": []}),
        "no checksums": json.dumps(manifest | {"files": {"model.onnx": None}}),
        "no size": json.dumps(manifest | {"files": files}),
        "no date": json.dumps(manifest | {"created": "yesterday"}),
        "no metadata": json.dumps(manifest | {"metadata": "none"}),
        "another version's": json.dumps(manifest | {"version": "1"}),
        "another model's": json.dumps(manifest | {"model": "wine"}),
        "a number for its version": json.dumps(manifest | {"version": 2}),
    }


def test_a_damaged_manifest_is_named_and_hides_no_other_version(store: ModelStore, place: Place, bundle: Path) -> None:
    for _ in range(3):
        store.publish("robots", bundle, {})
    store.promote("robots", "3")
    good = (store.get("robots", "2") / "manifest.json").read_text()
    for what, text in _damage(json.loads(good)).items():
        place.write("robots/2/manifest.json", text)
        store = place.open(1)
        assert [v.version for v in store.list("robots")] == ["1", "3"], what
        assert list(store.damaged("robots")) == ["2"], what
        message = store.damaged("robots")["2"].cause
        assert f"{store.where}/robots/2/manifest.json is damaged: " in message
        assert store.verify("robots", "2") == [message]
        for refuses in (store.describe, store.get, store.promote):
            with pytest.raises(Damaged, match=r"robots/2/manifest\.json is damaged"):
                refuses("robots", "2")
        with pytest.raises(PantheonError, match=r"version 2 of robots is damaged: .*manifest\.json"):
            store.rollback("robots", to="2")
    place.write("robots/2/manifest.json", good)
    assert store.damaged("robots") == {}
    assert store.verify("robots", "2") == []


def test_the_remedy_for_a_damaged_version_works(store: ModelStore, place: Place, bundle: Path) -> None:
    for version in ("1", "2"):
        store.publish("robots", bundle, {})
        store.promote("robots", version)
    place.write("robots/2/manifest.json", "{")
    store = place.open(1)
    assert "if this version is the champion, promote another one" in store.damaged("robots")["2"].cure
    assert "delete that file" in store.damaged("robots")["2"].cure
    assert "models gc" in store.damaged("robots")["2"].cure
    store.promote("robots", "1")
    place.delete("robots/2/manifest.json")
    assert len(store.sweep("robots", 0)) == 1
    assert store.damaged("robots") == {}
    # In S3 the version's claim has a copy of the manifest, so nothing at all is lost there.
    whole = ["1"] if place.kind == "folder" else ["1", "2"]
    assert [v.version for v in store.list("robots")] == whole
    assert [store.verify("robots", version) for version in whole] == [[] for _ in whole]


def test_a_damaged_version_can_be_removed_but_not_the_champion(store: ModelStore, place: Place, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "2")
    for version in ("1", "2"):
        place.write(f"robots/{version}/manifest.json", "{")
    assert store.names() == ["robots"], "it is there, damaged as it is"
    with pytest.raises(PantheonError, match="version 2 of robots is its champion"):
        store.remove("robots", "2")
    store.remove("robots", "1")
    assert list(store.damaged("robots")) == ["2"]


def test_an_invalid_alias_is_named_and_not_changed(store: ModelStore, place: Place, bundle: Path) -> None:
    for version in ("1", "2"):
        store.publish("robots", bundle, {})
        store.promote("robots", version)
    good = store.resolve("robots").as_dict()
    damage = {
        "cut short": "{",
        "no object": '"1"',
        "a number for its version": json.dumps(good | {"version": 1}),
        "no version": json.dumps(good | {"version": "newest"}),
        "an empty version": json.dumps(good | {"version": ""}),
        "a number for the version before": json.dumps(good | {"previous": 1}),
        "no date": json.dumps(good | {"since": "yesterday"}),
        "no text": json.dumps(good | {"note": ["x"]}),
        "a field too many": json.dumps(good | {"colour": "red"}),
        "a field too few": json.dumps({"version": "1"}),
    }
    for what, text in damage.items():
        place.write("robots/aliases/champion.json", text)
        for ask in (
            lambda: store.alias("robots"),
            lambda: store.remove("robots", "1"),
            lambda: store.swap("robots", "1", "champion", expected="2"),
            lambda: store.drop("robots", "champion", expected="1"),
        ):
            with pytest.raises(Damaged, match=r"robots/aliases/champion\.json is damaged: ") as error:
                ask()
        assert error.value.cure == "Remove it and promote a version again.", what
        assert [v.version for v in store.list("robots")] == ["1", "2"], what
    place.delete("robots/aliases/champion.json")
    assert store.promote("robots", "1").version == "1"
    if place.kind != "folder":  # what was damaged for a while is no part of the history
        assert [a.version for a in store.history("robots") or []] == ["1", "2", "1"]


def test_a_date_without_a_time_zone_is_in_utc(store: ModelStore, place: Place, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    place.write("robots/aliases/champion.json", '{"version": "1", "since": "2026-05-01T10:00:00"}')
    assert store.resolve("robots").since == "2026-05-01T10:00:00.000+00:00"
