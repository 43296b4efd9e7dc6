"""The store keeps objects through restarts, and compares before it swaps."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from pantheon import files
from pantheon.kubeflow import objects
from pantheon.kubeflow.objects import Conflict, Full, Key, Missing, Store, set_condition

KEY = Key("default", "counts", "one")


def manifest(spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "tests.pantheon/v1", "kind": "Count", "metadata": metadata, "spec": spec}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.root)


def test_created_configured_unchanged(store: Store) -> None:
    made, action = store.apply(KEY, manifest({"to": 1}, annotations={"pantheon/by": "ada"}))
    assert (action, made["metadata"]["generation"]) == ("created", 1)
    same, action = store.apply(KEY, manifest({"to": 1}, annotations={"pantheon/by": "bob"}))
    assert (action, same) == ("unchanged", made), "who asks for nothing new changes nothing"
    labelled, action = store.apply(KEY, manifest({"to": 1}, labels={"x": "y"}))
    assert (action, labelled["metadata"]["generation"]) == ("configured", 1)
    changed, action = store.apply(KEY, manifest({"to": 2}))
    assert (action, changed["metadata"]["generation"]) == ("configured", 2)
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    versions = [int(each["metadata"]["resourceVersion"]) for each in (made, labelled, changed)]
    assert versions == sorted(set(versions))
    again = reopened(store)
    assert again.find(KEY) == changed
    assert json.loads(again.path(KEY).read_text()) == changed


def test_what_it_returns_are_copies(store: Store) -> None:
    made, _ = store.apply(KEY, manifest({"to": [1]}))
    made["spec"]["to"].append(2)
    store.list()[0]["spec"]["to"].append(3)
    assert store.find(KEY)["spec"] == {"to": [1]}


def test_a_version_that_is_not_the_newest_is_a_conflict(store: Store) -> None:
    made, _ = store.apply(KEY, manifest({"to": 1}))
    seen = made["metadata"]["resourceVersion"]
    store.update(KEY, made["metadata"]["uid"], lambda found: found["status"].update(at=1))
    with pytest.raises(Conflict, match=r"^counts/one in default has changed since: its version is \d+, not "):
        store.apply(KEY, manifest({"to": 2}, resourceVersion=seen))
    with pytest.raises(Conflict, match="its uid is"):
        store.apply(KEY, manifest({"to": 2}, uid="another"))
    with pytest.raises(Conflict, match="does not exist any more"):
        store.apply(Key("default", "counts", "two"), manifest({"to": 2}, resourceVersion=seen))
    assert store.find(KEY)["spec"] == {"to": 1}


def test_of_many_writers_each_version_is_written_once(store: Store) -> None:
    made, _ = store.apply(KEY, manifest({"to": 0}))
    together, done = threading.Barrier(8), []

    def write(number: int) -> None:
        together.wait()
        try:
            store.apply(KEY, manifest({"to": number}, resourceVersion=made["metadata"]["resourceVersion"]))
        except Conflict:
            return
        done.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert store.find(KEY)["spec"] == {"to": done[0]}


def test_deletion_and_a_successor_of_the_same_name(store: Store) -> None:
    uid = store.apply(KEY, manifest({"to": 1}))[0]["metadata"]["uid"]
    assert "deletionTimestamp" in store.mark_deleted(KEY)["metadata"]
    assert store.mark_deleted(KEY) == store.find(KEY), "again changes nothing"
    with pytest.raises(Conflict, match="is being deleted"):
        store.apply(KEY, manifest({"to": 2}))
    last = int(store.find(KEY)["metadata"]["resourceVersion"])
    store.remove(KEY, uid)
    assert not store.path(KEY).exists()
    with pytest.raises(Missing):
        store.find(KEY)
    again = reopened(store)
    new = again.apply(KEY, manifest({"to": 1}))[0]["metadata"]
    assert int(new["resourceVersion"]) > last
    assert again.update(KEY, uid, lambda found: found["status"].update(late=True)) is None
    again.remove(KEY, uid)
    assert again.find(KEY)["status"] == {}, "the first one's controller does not touch the second"


def test_a_condition_keeps_its_time_while_its_status_does(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    times = iter(["1", "2", "3"])
    monkeypatch.setattr(objects, "now", lambda: next(times))
    for status, reason in [(True, "A"), (True, "B"), (False, "C")]:
        set_condition(found, "Ready", status, reason, "said")
        assert len(found["status"]["conditions"]) == 1
    (condition,) = found["status"]["conditions"]
    assert condition == {
        "type": "Ready",
        "status": "False",
        "reason": "C",
        "message": "said",
        "lastTransitionTime": "2",
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"metadata": {}}', b"null", b"\xff" * 9])
def test_a_damaged_file_is_moved_aside_and_the_others_are_there(
    store: Store, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    store.apply(KEY, manifest({"to": 1}))
    bad = store.path(Key("default", "counts", "bad"))
    bad.write_bytes(content)
    again = reopened(store)
    assert [each["metadata"]["name"] for each in again.list()] == ["one"]
    assert bad.with_suffix(".damaged").read_bytes() == content
    assert "bad.damaged is damaged" in capsys.readouterr().err


def test_one_service_at_a_time_and_not_too_many_objects(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(files.Busy):
        Store(store.root, patience=0)
    monkeypatch.setattr(objects, "MOST", 1)
    store.apply(KEY, manifest({"to": 1}))
    with pytest.raises(Full, match="there are 1 objects already"):
        store.apply(Key("default", "counts", "two"), manifest({"to": 1}))
    store.apply(KEY, manifest({"to": 2}))
