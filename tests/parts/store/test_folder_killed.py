"""The folder store when files are damaged, publishers are killed, and the disk is full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pantheon.store import FolderStore
from tests.support import ROOT

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


def _run(store: FolderStore, bundle: Path, step: int, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(store.root), str(bundle), str(step), what],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_publisher_killed_at_any_step_leaves_a_complete_version_or_none(store: FolderStore, bundle: Path) -> None:
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


def test_a_promotion_killed_at_any_step_leaves_the_old_or_the_new_alias(store: FolderStore, bundle: Path) -> None:
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
