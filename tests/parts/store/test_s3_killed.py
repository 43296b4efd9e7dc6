"""kill -9 before every request of a publisher, a promotion, a removal, a move; and of the S3 server itself."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from pantheon.store.s3.store import S3Store
from tests.support import ROOT
from tests.support.s3_servers import Server, Weed, weed

pytestmark = pytest.mark.slow

# Forks a child for each step; the child is killed (SIGKILL, no clean-up) just before its Nth request.
WALK = """
import os, signal, sys, threading
from pathlib import Path
from pantheon.store import FolderStore
from pantheon.store.move import move
from pantheon.store.s3.store import S3Store
endpoint, bucket, credentials, folder, what = sys.argv[1:6]
folder, credentials = Path(folder), Path(credentials)
from pantheon.store.s3 import client
client.client(endpoint, "us-east-1", credentials)  # once, not in every child; nothing is connected yet
made = client._clients
for line in sys.stdin:
    at = int(line)
    child = os.fork()
    if child == 0:
        client._clients = {(os.getpid(), *key[1:]): each for key, each in made.items()}
        store = S3Store(bucket, endpoint=endpoint, credentials=credentials, cache=folder / "cache")
        lock, steps = threading.Lock(), 0
        def count(**_):
            global steps
            with lock:
                steps += 1
                if steps == at:
                    os.kill(os.getpid(), signal.SIGKILL)
        store.bucket.client.meta.events.register("before-send.s3", count)
        if what == "publish":
            store.publish("robots", folder / "bundle", {})
        elif what == "promote":
            store.promote("robots", "2")
        elif what == "remove":
            store.remove("robots", str(store.last("robots")))
        else:
            move(FolderStore(folder / "models"), store)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Walker:
    """A process that repeats an operation and is killed before its Nth request."""

    def __init__(self, server: Server, bucket: str, folder: Path, what: str) -> None:
        arguments = [server.endpoint, bucket, str(server.credentials), str(folder), what]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WALK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def walk(self, check: Callable[[bool], None]) -> int:
        """Kill it at every step until it completes; return the number of steps."""
        assert self.process.stdin
        assert self.process.stdout
        with self.process:
            for step in range(1, 200):
                self.process.stdin.write(f"{step}\n")
                self.process.stdin.flush()
                status = int(self.process.stdout.readline())
                assert status in (0, -signal.SIGKILL)
                check(status == 0)
                if status == 0:
                    self.process.stdin.close()
                    return step
        raise AssertionError("it was killed 199 times and never finished")


@pytest.fixture
def store(seaweed: Weed, tmp_path: Path) -> S3Store:
    return seaweed.store(tmp_path / "other-machine")


def test_a_publisher_killed_at_any_step_leaves_a_complete_version_or_none(
    seaweed: Weed, store: S3Store, bundle: Path, tmp_path: Path
) -> None:
    known: list[str] = []
    outcomes = []

    def check(finished: bool) -> None:
        before = list(known)
        known[:] = [v.version for v in store.list("robots")]
        assert known[: len(before)] == before
        assert len(known) - len(before) <= 1
        for version in known[len(before) :]:
            assert store.verify("robots", version) == []
        outcomes.append((finished, len(known) > len(before)))

    steps = Walker(seaweed, store.bucket.name, tmp_path, "publish").walk(check)
    assert steps >= 8  # two listings, a claim, three files, a commit, a manifest
    assert outcomes[-1] == (True, True)
    assert (False, False) in outcomes
    swept = store.sweep("robots", 0)
    assert len(swept) >= 5
    published = [v.version for v in store.list("robots")]  # one was complete but for its manifest
    assert set(known) <= set(published)
    assert [store.verify("robots", version) for version in published] == [[]] * len(published)
    folders = {each.key.split("/")[2] for each in store.bucket.list("models/robots/")}
    assert folders == {*published, "claims"}
    assert store.sweep("robots", 0) == []
    assert int(store.publish("robots", bundle, {})) > int(published[-1])


def test_a_promotion_killed_at_any_step_leaves_the_old_or_the_new_alias(
    seaweed: Weed, store: S3Store, bundle: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        store.publish("robots", bundle, {})
    store.promote("robots", "1")
    seen = set()

    def check(finished: bool) -> None:
        seen.add(store.resolve("robots").version)
        assert not finished or store.resolve("robots").version == "2"
        store.promote("robots", "1")

    assert Walker(seaweed, store.bucket.name, tmp_path, "promote").walk(check) >= 3
    assert seen == {"1", "2"}


def test_a_removal_killed_at_any_step_is_finished_by_sweep(
    seaweed: Weed, store: S3Store, bundle: Path, tmp_path: Path
) -> None:
    shutil.rmtree(bundle / "plots")
    store.publish("robots", bundle, {})
    store.promote("robots", "1")
    store.publish("robots", bundle, {})

    def check(finished: bool) -> None:
        for version in store.list("robots"):  # those that are listed are whole, or on their way out
            claim = store._claims.read("robots", int(version.version))
            assert claim
            assert store.verify("robots", version.version) == [] or claim.state == "removed"
        store.sweep("robots", 0)
        left = [v.version for v in store.list("robots")]
        assert store.verify("robots", left[-1]) == []
        if left == ["1"]:
            store.publish("robots", bundle, {})

    assert Walker(seaweed, store.bucket.name, tmp_path, "remove").walk(check) >= 6
    assert store.resolve("robots").version == "1"


def test_a_move_killed_at_any_step_resumes_without_loss(
    seaweed: Weed, store: S3Store, bundle: Path, tmp_path: Path
) -> None:
    shutil.rmtree(bundle / "plots")
    source = FolderStore(tmp_path / "models")
    for version in ("1", "2"):
        source.publish("robots", bundle, {"n": version})
        source.promote("robots", version, by="ada")
    source.promote("robots", "1", "challenger", note="look at it")
    verified: set[str] = set()
    before = {f: f.read_bytes() for f in source.root.rglob("*") if f.is_file()}

    def check(finished: bool) -> None:
        for version in store.list("robots"):
            assert version == source.describe("robots", version.version)
            if version.version not in verified:
                assert store.verify("robots", version.version) == []
                verified.add(version.version)
        for alias in store.aliases("robots"):
            assert store.alias("robots", alias) == source.alias("robots", alias)
        if finished:
            assert store.list("robots") == source.list("robots")
            assert store.aliases("robots") == ["challenger", "champion"]

    assert Walker(seaweed, store.bucket.name, tmp_path, "move").walk(check) >= 10
    assert {f: f.read_bytes() for f in source.root.rglob("*") if f.is_file()} == before
    assert store.sweep("robots", 0) == []


def test_a_publisher_whose_claim_was_abandoned_fails(store: S3Store, bundle: Path) -> None:
    """A publisher that is suspended between its last file and its manifest during a sweep."""
    claim = store._versions.claim("robots")
    store._versions.upload("robots", "1", bundle, ["model.onnx"])
    assert len(store.sweep("robots", 0)) == 1
    from pantheon.store import Version

    late = Version("robots", "1", "2024-01-01T00:00:00+00:00", {}, {})
    with pytest.raises(PantheonError, match="removed by a cleanup before it was complete"):
        store._versions.complete("robots", claim, late)
    assert store.list("robots") == []
    assert list(store.bucket.list("models/robots/1/")) == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"number": 1, "state": "gone", "token": "", "since": ""}'])
def test_a_damaged_claim_is_named_and_the_others_are_swept(store: S3Store, bundle: Path, body: bytes) -> None:
    for number in ("1", "2"):
        store._versions.claim("robots")
        store._versions.upload("robots", number, bundle, ["model.onnx"])
    store.bucket.put("models/robots/claims/1.json", body)
    message, swept = store.sweep("robots", 0)
    assert "robots/claims/1.json is damaged: " in message
    assert "is not changed. Delete it" in message
    assert "robots/2/: incomplete" in swept
    assert len(list(store.bucket.list("models/robots/1/"))) == 1
    assert list(store.bucket.list("models/robots/2/")) == []


def test_recent_versions_are_not_swept(store: S3Store, bundle: Path) -> None:
    store._versions.claim("robots")
    store._versions.upload("robots", "1", bundle, ["model.onnx"])
    assert store.sweep("robots", 60) == []
    assert len(list(store.bucket.list("models/robots/1/"))) == 1


def test_a_server_killed_during_publishes_leaves_complete_versions_or_none(tmp_path: Path, bundle: Path) -> None:
    (bundle / "large.bin").write_bytes(os.urandom(3_000_000))
    with weed(tmp_path) as server:
        bucket = server.bucket()
        store = server.store(tmp_path / "cache", bucket, retry_seconds=0.5)
        first = store.publish("robots", bundle, {})
        store.promote("robots", first)
        failed, published = [], [first]
        for pause in (0.01, 0.05):
            began = threading.Event()
            store.bucket.client.meta.events.register("before-send.s3", lambda began=began, **_: began.set())

            def stop(began: threading.Event = began, pause: float = pause) -> None:
                began.wait(60)
                threading.Event().wait(pause)  # somewhere in the middle
                server.kill()

            killer = threading.Thread(target=stop)
            killer.start()
            try:
                published.append(store.publish("robots", bundle, {"pause": pause}))
            except PantheonError as error:
                failed.append(str(error))
            killer.join()
            server.start()
            patient = server.store(tmp_path / "cache", bucket)
            listed = [v.version for v in patient.list("robots")]
            assert set(published) <= set(listed)
            assert [patient.verify("robots", version) for version in listed] == [[]] * len(listed)
            assert patient.resolve("robots").version == "1"
            published.append(patient.publish("robots", bundle, {}))  # the retry
        assert failed
        assert [text for text in failed if "does not answer" not in text and "failed on" not in text] == []
