"""A run that is handed over is done once, to its end, whatever happens to the service on the way."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.workflow import locks
from pantheon.workflow.run import Run
from tests.dataflow.conftest import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def begins(service: Service, stage: str) -> int:
    return service.said.count(f" {stage} running")


def test_a_run_goes_on_to_its_model_and_twice_at_once_is_once(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    assert client.look(run)["state"] == "interrupted"  # its ETL is done and nobody works on it
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.go_on(run), range(8)))
    assert {answer.status for answer in answers} == {202}
    assert {json.dumps(answer.json) for answer in answers} == {f'{{"run": "{run.id}", "state": "running"}}'}
    found = client.until(run, "done", "failed", "interrupted")
    assert found["state"] == "done", service.said
    assert found["error"] is None
    assert found["outcome"]["decision"] == "promoted"
    assert {stage["state"] for stage in found["stages"].values()} == {"done"}
    assert begins(service, "train") == begins(service, "deploy") == 1
    assert begins(service, "load_data") == 0
    again = client.go_on(run)
    assert (again.status, again.json) == (200, {"run": run.id, "state": "done", "outcome": found["outcome"]})
    versions = list((service.state / "models" / "robots").glob("*/manifest.json"))
    assert len(versions) == 1


def test_killed_it_leaves_nothing_running_and_the_run_goes_on_from_there(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.go_on(run)
    until(lambda: begins(service, "hyperparameter_tuning"))
    service.end(signal.SIGKILL)
    until(lambda: not service.children())
    client = service.start()
    assert client.look(run)["state"] == "interrupted"
    assert client.go_on(run).status == 202
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done", service.said
    assert begins(service, "train") == 1


def test_stopped_it_interrupts_its_runs(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.go_on(run)
    until(lambda: begins(service, "train"))
    assert service.end(signal.SIGTERM) == 0
    assert not service.children()
    assert "interrupted" in {stage["state"] for stage in run.stages().values()}
    assert not list(run.folder.rglob(".*.part"))
    client = service.start()
    assert client.look(run)["state"] == "interrupted"
    client.go_on(run)
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


def test_a_run_that_fails_says_why_and_can_be_repeated(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    kept = run.path("features/train.npz").rename(run.path("features/kept"))
    client.go_on(run)
    found = client.until(run, "done", "failed", "interrupted")
    assert found["state"] == "failed"
    assert "features/train.npz is missing" in found["error"]["cause"]
    assert found["error"]["cure"]
    assert found["outcome"] is None
    service.end(signal.SIGTERM)
    client = service.start()
    assert "features/train.npz is missing" in client.look(run)["error"]["cause"]  # the records know it too
    kept.rename(run.path("features/train.npz"))
    assert client.go_on(run).json["state"] == "running"
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


def test_a_task_that_is_killed_is_told_of(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.go_on(run)
    until(lambda: begins(service, "train"))
    tasks = [pid for pid in service.children() if b"pantheon.tasks" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(min(tasks), signal.SIGKILL)
    found = client.until(run, "failed", "done", "interrupted")
    assert found["state"] == "failed"
    assert "killed by SIGKILL" in found["error"]["cause"]


def test_more_runs_than_there_is_room_for_wait_their_turn(service: Service, runs: list[Run]) -> None:
    client = service.start(DATAFLOW_LIMIT="1")
    assert client.go_on(runs[0]).json["state"] == "running"
    assert client.go_on(runs[1]).json["state"] == "waiting"
    assert client.go_on(runs[1]).json["state"] == "waiting"
    assert client("GET", "/healthz").json == {"status": "ok", "running": 1, "waiting": 1}
    for run in runs:
        assert client.until(run, "done", "failed", "interrupted")["state"] == "done"
    assert begins(service, "train") == 2


def test_two_runs_at_once(service: Service, runs: list[Run]) -> None:
    client = service.start()
    for run in runs:
        assert client.go_on(run).json["state"] == "running"
    for run in runs:
        assert client.until(run, "done", "failed", "interrupted")["state"] == "done"
    versions = sorted(path.parent.name for path in (service.state / "models" / "robots").glob("*/manifest.json"))
    assert 1 <= len(versions) <= 2


def test_a_run_that_another_process_works_on_is_waited_for(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    with locks.single(run, "preprocess"):
        assert client.look(run)["state"] == "running"
        assert client.go_on(run).json["state"] == "waiting"
        assert client.look(run)["state"] == "waiting"
        assert begins(service, "train") == 0
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


def test_it_is_light_while_nobody_asks(service: Service, runs: list[Run]) -> None:
    client = service.start()
    for _ in range(30):
        client.look(runs[0])
    from pantheon.engines.processes import memory

    assert memory([service.pid]) < 30e6
    loaded = Path(f"/proc/{service.pid}/maps").read_text()
    assert not [name for name in ("polars", "sklearn", "numpy", "onnx") if f"/{name}/" in loaded]
