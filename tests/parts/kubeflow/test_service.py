"""Kubeflow's service as a process: objects live through kills, changes and deletions, and no process is left."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.kubeflow.client import Failed
from pantheon.processes import table
from tests.support.kubeflow import Service, ended, manifest
from tests.support.waiting import until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    assert "Internal" not in made.output
    until(lambda: not made.children(), what="no process of an object is left")


def numbers(service: Service, name: str) -> list[int]:
    (file,) = (service.state / "kubeflow" / "work").glob(f"default/counts/{name}-*/numbers")
    return [int(line) for line in file.read_text().split()]


def test_an_object_runs_and_its_log_can_be_read(service: Service) -> None:
    client = service.client
    assert client.apply(manifest("three", to=3)) == [
        {"kind": "Count", "group": "tests.pantheon", "name": "three", "namespace": "default", "action": "created"}
    ]
    found = client.wait("counts", "three", ended, 60)
    assert found
    assert numbers(service, "three") == [1, 2, 3]
    assert found["status"] | {"conditions": []} == {"observedGeneration": 1, "at": 3, "code": 0, "conditions": []}
    assert found["metadata"]["annotations"] == {"pantheon/by": "ada"}
    logs = client.logs("counts", "three")
    assert [each["name"] for each in logs] == ["steps/count.log"]
    content, end = client.log("counts", "three", "steps/count.log")
    assert content == b"from 0\nup to 3\n"
    assert client.log("counts", "three", "steps/count.log", end) == (b"", end)
    assert client.log("counts", "three", "steps/count.log", -5) == (b"to 3\n", end)
    assert client.table("cnt")["rows"][0]["columns"] == {"AT": "3"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_was_ended_continues_what_it_did(service: Service, number: signal.Signals) -> None:
    client = service.client
    client.apply(manifest("long", to=50_000, pause=0.05, child=str(service.state)))
    client.apply(manifest("done", to=1))
    done = client.wait("counts", "done", ended, 60)
    before = client.wait("counts", "long", lambda found: found["status"].get("at", 0) > 3, 60)
    assert before
    assert service.end(number) == (0 if number == signal.SIGTERM else -9)
    reached = len(numbers(service, "long"))
    service.start()
    assert len(service.children()) <= 3, "the processes from before end before those of now start"
    after = client.wait("counts", "long", lambda found: found["status"]["at"] > reached + 3, 60)
    assert after
    assert after["metadata"] | {"resourceVersion": ""} == before["metadata"] | {"resourceVersion": ""}
    until(lambda: client.log("counts", "long", "steps/count.log")[0].count(b"from") == 2, what="it began again")
    client.act("counts", "long", "suspend")
    until(lambda: not service.children(), what="it has stopped")
    counted = numbers(service, "long")
    assert counted == list(range(1, len(counted) + 1)), "each number once: two processes never wrote at once"
    assert client.get("counts", "done") == done, "what was finished is not run again"


def test_processes_outlive_the_python_that_they_were_forked_from(service: Service) -> None:
    client = service.client
    client.apply(manifest("before", to=60, pause=0.1))
    assert client.wait("counts", "before", lambda found: found["status"].get("at", 0) > 0, 60)
    assert service.process
    (forks,) = [each.pid for each in table().values() if each.parent == service.process.pid]
    os.kill(forks, signal.SIGKILL)
    client.apply(manifest("after", to=2))
    for name, last in (("before", 60), ("after", 2)):
        found = client.wait("counts", name, ended, 60)
        assert found and (found["status"]["code"], found["status"]["at"]) == (0, last)
        assert numbers(service, name)[0] == 1 and client.log("counts", name, "steps/count.log")[0].count(b"from") == 1


def test_a_changed_spec_runs_again_and_actions_change_it(service: Service) -> None:
    client = service.client
    client.apply(manifest("slow", to=5000, pause=0.05))
    client.wait("counts", "slow", lambda found: found["status"].get("at", 0) > 0, 60)
    assert client.apply(manifest("slow", to=5000, pause=0.05))[0]["action"] == "unchanged"
    client.act("counts", "slow", "suspend")
    found = client.wait("counts", "slow", lambda found: ended(found, "Suspended"), 60)
    assert found
    assert found["metadata"]["generation"] == 2
    until(lambda: not service.children(), what="a suspended object has no process")
    with pytest.raises(Failed, match=r"^spec\.to: was 5000, and cannot become smaller"):
        client.apply(manifest("slow", to=3))
    assert client.apply(manifest("slow", to=5001))[0]["action"] == "configured"
    assert client.wait("counts", "slow", lambda found: found["status"].get("at", 0) > 3, 60)
    with pytest.raises(Failed, match="counts have no action 'fly'"):
        client.act("counts", "slow", "fly")


def test_failures_are_conditions_with_their_reason(service: Service) -> None:
    client = service.client
    client.apply(manifest("known", to=1, fail="known") + b"---\n" + manifest("defect", to=1, fail="defect"))
    for name, reason, message in [
        ("known", "Failed", "the count was lost. Count again."),
        ("defect", "Defect", "ZeroDivisionError: a defect"),
    ]:
        found = client.wait("counts", name, ended, 60)
        assert found
        (failed,) = found["status"]["conditions"]
        assert (failed["type"], failed["reason"], failed["message"]) == ("Failed", reason, message)
    assert service.end(signal.SIGKILL) == -9
    service.start()
    assert service.raw("GET", "/healthz").json == {"status": "ok", "objects": 2, "active": 0}
    client.apply(manifest("known", to=1))
    found = client.wait("counts", "known", lambda found: ended(found, "Succeeded"), 60)
    assert found
    assert not ended(found, "Failed"), "the failure of the spec from before is over"


def test_a_deleted_object_leaves_nothing_behind(service: Service, tmp_path: Path) -> None:
    client, outside = service.client, tmp_path / "outside" / "file"
    outside.parent.mkdir()
    client.apply(manifest("gone", to=5000, pause=0.05, outside=str(outside), child=str(service.state)))
    found = client.wait("counts", "gone", lambda found: found["status"].get("at", 0) > 0, 60)
    assert found
    assert outside.exists()
    (outside.parent / "locked").touch()
    assert "deletionTimestamp" in client.delete("counts", "gone")["metadata"]
    waiting = client.wait("counts", "gone", lambda found: bool(found["status"]["conditions"][1:]), 60)
    assert waiting
    assert waiting["status"]["conditions"][-1]["message"] == f"It could not be deleted yet: {outside} is locked."
    until(lambda: not service.children(), what="its processes have ended")
    with pytest.raises(Failed, match="is being deleted") as refused:
        client.apply(manifest("gone", to=5000))
    assert refused.value.code == 409
    assert service.end(signal.SIGKILL) == -9  # in the middle of the deletion
    (outside.parent / "locked").unlink()
    service.start()
    assert client.gone("counts", found, 60)
    assert not outside.exists()
    assert not list((service.state / "kubeflow" / "work").glob("default/counts/*"))
    assert not list(service.state.glob("kubeflow/objects/default/counts/*"))
    with pytest.raises(Failed, match="there is no counts 'gone' in the namespace default"):
        client.delete("counts", "gone")
    client.apply(manifest("gone", to=1))
    assert client.get("counts", "gone")["metadata"]["uid"] != found["metadata"]["uid"]


def test_of_two_writers_who_saw_the_same_one_is_told(service: Service) -> None:
    client = service.client
    client.apply(manifest("shared", to=1))
    seen = client.wait("counts", "shared", ended, 60)
    assert seen
    version = seen["metadata"]["resourceVersion"]
    results: list[str] = []
    together = threading.Barrier(2)

    def write(number: float) -> None:
        text = manifest("shared", to=1, pause=number).replace(
            b"metadata:", f"metadata:\n  resourceVersion: '{version}'".encode()
        )
        together.wait()
        try:
            results.append(client.apply(text)[0]["action"])
        except Failed as error:
            results.append(f"{error.code} {error.cause}")

    threads = [threading.Thread(target=write, args=(number,)) for number in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told, done = sorted(results)
    assert done == "configured"
    assert told.startswith("409 counts/shared in default has changed since: its version is ")


def test_a_second_service_waits_for_the_first(service: Service, tmp_path: Path) -> None:
    other = Service(tmp_path)
    other.log = tmp_path / "other.log"
    starting = threading.Thread(target=other.start)
    starting.start()
    lock = tmp_path / "kubeflow" / ".lock"

    def waits() -> bool:
        folder = Path(f"/proc/{other.process.pid}/fd") if other.process else None
        return bool(folder) and any(str(lock) == each for each in opened(folder))

    until(waits, what="it has opened the lock")
    with pytest.raises(OSError, match="refused"):
        other.raw("GET", "/healthz")
    assert service.raw("GET", "/healthz").status == 200
    assert service.end(signal.SIGTERM) == 0
    starting.join()
    assert other.raw("GET", "/healthz").status == 200
    assert other.end(signal.SIGTERM) == 0


def opened(folder: Path) -> list[str]:
    """Return the files that a process has open."""
    found = []
    for each in folder.iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(str(each.readlink()))
    return found
