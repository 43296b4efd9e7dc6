"""The folder store when files are damaged, publishers are killed, and the disk is full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore, durable

# Publishes once, and is killed (SIGKILL, no clean-up) just before the Nth call that changes the disk.
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from pantheon.store import FolderStore
steps, at = 0, int(sys.argv[3])
def watch(event, args):
    global steps
    changes = event in ("os.mkdir", "os.rename", "os.remove", "shutil.copyfile", "os.rmdir", "shutil.rmtree")
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    changes = changes or (event == "open" and isinstance(args[2], int) and args[2] & writes)
    if changes and sys.argv[1] in str(args[0] if event != "shutil.copyfile" else args[1]):
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)
store = FolderStore(Path(sys.argv[1]))
sys.addaudithook(watch)
if sys.argv[4] == "publish":
    store.publish("robots", Path(sys.argv[2]), {})
else:
    store.promote("robots", "2")
print("finished")
"""


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "models")


def test_a_flipped_byte_is_found_and_the_file_named(store: FolderStore, bundle: Path) -> None:
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
    with pytest.raises(PantheonError, match=r"no version 2 .*Versions there: 1"):
        store.get("robots", "2")


def test_a_full_disk_leaves_nothing_behind(store: FolderStore, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        store.publish("robots", bundle, {})
    assert [f.name for f in (store.root / "robots").iterdir()] == [".lock"]


def _run(store: FolderStore, bundle: Path, step: int, what: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(store.root), str(bundle), str(step), what],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_publisher_killed_at_any_step_leaves_a_whole_version_or_none(store: FolderStore, bundle: Path) -> None:
    store.publish("robots", bundle, {})
    seen_absent = seen_complete = 0
    for step in range(1, 100):
        before = [v.version for v in store.list("robots")]
        done = _run(store, bundle, step, "publish")
        after = [v.version for v in store.list("robots")]
        assert after[: len(before)] == before
        for version in after:
            store.get("robots", version)
        if done.returncode == 0:
            assert after[len(before) :] == [str(int(before[-1]) + 1)]
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        seen_absent += after == before
        seen_complete += len(after) == len(before) + 1
        # The next publisher is not disturbed, and cleans up.
        version = store.publish("robots", bundle, {})
        store.get("robots", version)
        leftovers = [
            f for f in (store.root / "robots").iterdir() if f.name.isdecimal() and not (f / "manifest.json").exists()
        ]
        assert leftovers == []
        assert not list((store.root / "robots").glob("[0-9]*/.publishing"))
    else:
        pytest.fail("the publisher was killed 99 times and never finished")
    assert seen_absent >= 5
    assert seen_complete >= 1


@pytest.mark.slow
def test_a_promotion_killed_at_any_step_leaves_the_old_alias_or_the_new(store: FolderStore, bundle: Path) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    for step in range(1, 30):
        store.promote("robots", "1")
        done = _run(store, bundle, step, "promote")
        assert store.resolve("robots").version in ("1", "2")
        if done.returncode == 0:
            assert store.resolve("robots").version == "2"
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    else:
        pytest.fail("the promotion was killed 29 times and never finished")
    assert step >= 3


def test_a_living_publisher_is_not_swept_away(store: FolderStore, bundle: Path) -> None:
    with store._claim("robots") as slow:
        assert store.publish("robots", bundle, {}) == "2"
        assert slow.is_dir()
        (slow / "file").write_text("still writing")
    assert [v.version for v in store.list("robots")] == ["2"]
