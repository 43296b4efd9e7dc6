"""A run that is handed over to the service is completed once, even if the service is killed in between."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.workflow import locks
from pantheon.workflow.run import Run
from tests.support.dataflow import Service
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


def starts(service: Service, stage: str) -> int:
    return service.output.count(f" {stage} running")


def test_a_run_continues_to_its_model_and_concurrent_requests_start_it_once(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    assert client.status(run)["state"] == "interrupted"  # its ETL is done and no process works on it
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.resume(run), range(8)))
    assert {answer.status for answer in answers} == {202}
    assert {json.dumps(answer.json) for answer in answers} == {f'{{"run": "{run.id}", "state": "running"}}'}
    status = client.until(run, "done", "failed", "interrupted")
    assert status["state"] == "done", service.output
    assert status["error"] is None
    assert status["outcome"]["decision"] == "promoted"
    assert {stage["state"] for stage in status["stages"].values()} == {"done"}
    assert starts(service, "train") == starts(service, "deploy") == 1
    assert starts(service, "load_data") == 0
    again = client.resume(run)
    assert (again.status, again.json) == (200, {"run": run.id, "state": "done", "outcome": status["outcome"]})
    versions = list((service.state / "models" / "robots").glob("*/manifest.json"))
    assert len(versions) == 1


@pytest.mark.slow
def test_a_kill_leaves_no_processes_and_the_run_can_be_continued(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.resume(run)
    until(lambda: starts(service, "hyperparameter_tuning"))
    service.end(signal.SIGKILL)
    until(lambda: not service.children())
    client = service.start()
    assert client.status(run)["state"] == "interrupted"
    assert client.resume(run).status == 202
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done", service.output
    assert starts(service, "train") == 1


def test_stopping_interrupts_the_runs(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.resume(run)
    until(lambda: starts(service, "train"))
    assert service.end(signal.SIGTERM) == 0
    assert not service.children()
    assert "interrupted" in {stage.state for stage in run.records().values()}
    assert not list(run.folder.rglob(".*.part"))
    client = service.start()
    assert client.status(run)["state"] == "interrupted"
    client.resume(run)
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


@pytest.mark.slow
def test_a_failed_run_reports_the_reason_and_can_be_continued(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    kept = run.path("features/train.npz").rename(run.path("features/kept"))
    client.resume(run)
    status = client.until(run, "done", "failed", "interrupted")
    assert status["state"] == "failed"
    assert "features/train.npz is missing" in status["error"]["cause"]
    assert status["error"]["cure"]
    assert status["outcome"] is None
    service.end(signal.SIGTERM)
    client = service.start()
    assert "features/train.npz is missing" in client.status(run)["error"]["cause"]  # the run's records have it too
    kept.rename(run.path("features/train.npz"))
    assert client.resume(run).json["state"] == "running"
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


@pytest.mark.slow
def test_a_killed_task_is_reported(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    client.resume(run)
    until(lambda: starts(service, "train"))
    tasks = [pid for pid in service.children() if b"pantheon.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(min(tasks), signal.SIGKILL)
    status = client.until(run, "failed", "done", "interrupted")
    assert status["state"] == "failed"
    assert "killed during train (SIGKILL)" in status["error"]["cause"]


@pytest.mark.slow
def test_runs_above_the_limit_are_queued(service: Service, runs: list[Run]) -> None:
    client = service.start(DATAFLOW_LIMIT="1")
    assert client.resume(runs[0]).json["state"] == "running"
    assert client.resume(runs[1]).json["state"] == "waiting"
    assert client.resume(runs[1]).json["state"] == "waiting"
    assert client("GET", "/healthz").json == {"status": "ok", "running": 1, "waiting": 1}
    for run in runs:
        assert client.until(run, "done", "failed", "interrupted")["state"] == "done"
    assert starts(service, "train") == 2


@pytest.mark.slow
def test_two_runs_at_once(service: Service, runs: list[Run]) -> None:
    client = service.start()
    for run in runs:
        assert client.resume(run).json["state"] == "running"
    for run in runs:
        assert client.until(run, "done", "failed", "interrupted")["state"] == "done"
    versions = sorted(path.parent.name for path in (service.state / "models" / "robots").glob("*/manifest.json"))
    assert 1 <= len(versions) <= 2


@pytest.mark.slow
def test_a_run_locked_by_another_process_is_queued(service: Service, runs: list[Run]) -> None:
    client, run = service.start(), runs[0]
    with locks.single(run, "preprocess"):
        assert client.status(run)["state"] == "running"
        assert client.resume(run).json["state"] == "waiting"
        assert client.status(run)["state"] == "waiting"
        assert starts(service, "train") == 0
    assert client.until(run, "done", "failed", "interrupted")["state"] == "done"


def test_an_idle_service_uses_little_memory(service: Service, runs: list[Run]) -> None:
    client = service.start()
    for _ in range(30):
        client.status(runs[0])
    from pantheon.processes import memory

    assert memory([service.pid]) < 30e6
    loaded = Path(f"/proc/{service.pid}/maps").read_text()
    assert not [name for name in ("polars", "sklearn", "numpy", "onnx") if f"/{name}/" in loaded]
