"""The folder store when files are damaged, publishers are killed, and the disk is full."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore, folder


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "models")


def test_a_flipped_byte_is_detected_and_the_file_named(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    file = store.root / "robots" / "1" / "model.onnx"
    raw = bytearray(file.read_bytes())
    raw[17] ^= 1
    file.write_bytes(raw)
    with pytest.raises(PantheonError, match=r"robots/1/model\.onnx .*checksum"):
        store.get("robots", "1")


def test_a_missing_file_is_named(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    (store.root / "robots" / "1" / "plots" / "roc.svg").unlink()
    with pytest.raises(PantheonError, match=r"plots/roc\.svg is missing"):
        store.get("robots", "1")


def test_a_damaged_manifest_or_alias_is_named(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    (store.root / "robots" / "aliases" / "champion.json").write_text("{")
    with pytest.raises(PantheonError, match=r"champion\.json is damaged"):
        store.resolve("robots")
    (store.root / "robots" / "1" / "manifest.json").write_text("[]")
    with pytest.raises(PantheonError, match=r"manifest\.json is damaged"):
        store.get("robots", "1")


def test_a_manifest_cannot_point_outside_its_version(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    manifest = store.root / "robots" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("model.onnx", "../../secret"))
    with pytest.raises(PantheonError, match="not inside its version"):
        store.get("robots", "1")


def test_a_version_without_a_manifest_does_not_exist(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    (store.root / "robots" / "2").mkdir()
    assert [v.version for v in store.list("robots")] == ["1"]
    with pytest.raises(PantheonError, match=r"no version 2 .*Existing versions: 1"):
        store.get("robots", "2")


def test_a_full_disk_leaves_nothing_behind(store: FolderStore, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        store.publish("robots", bundle, {})
    assert [f.name for f in (store.root / "robots").iterdir()] == [".lock"]


def test_a_running_publisher_is_not_swept(store: FolderStore, bundle: Path) -> None:
    with store._claim("robots") as slow:
        assert store.publish("robots", bundle, {}) == "2"
        assert slow.is_dir()
        (slow / "file").write_text("still writing")
    assert [v.version for v in store.list("robots")] == ["2"]
