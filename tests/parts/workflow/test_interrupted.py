"""Ctrl-C or a kill in any stage leaves no partial files, is recorded, and the run can be resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pantheon.workflow.graph import GRAPH
from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.worker import reported

pytestmark = pytest.mark.slow


def start(state: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "pantheon.worker", "run", *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "state").mkdir()
    spec = (ROOT / "datasets" / "wine.toml").read_text()
    return Run.create(tmp_path, spec, "wine", Params(trials=2), tier="persephone", runner="script")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_run_survives_an_end_in_every_stage(run: Run, number: signal.Signals) -> None:
    """A run that is stopped at the start of every stage and resumed gives the same result."""
    for stage in GRAPH:
        process = start(run.state, "--run", run.id)
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event.get("stage") == stage:
                assert event["state"] == "running"
                process.send_signal(number)
                break
        process.stdout.read()
        ended = process.wait(timeout=60)
        over = run.path("outcome.json").exists()  # the last stage may be over before the signal comes
        assert ended == (130 if number == signal.SIGINT else -signal.SIGKILL) or (over and ended == 0)
        if number == signal.SIGINT:
            assert run.records()[stage].state in ("interrupted", "done")  # done: it was over before the signal came
            assert not list(run.folder.rglob(".*.part"))
    last = start(run.state, "--run", run.id)
    out, _ = last.communicate(timeout=60)
    assert last.returncode == 0
    assert reported(out)[-1]["decision"] == "promoted"
    assert {s.state for s in run.records().values()} == {"done"}
    assert not list(run.folder.rglob(".*.part")), "what a killed one had half-written is gone"
    versions = [p.parent.name for p in (run.state / "models" / "wine").glob("*/manifest.json")]
    assert versions, "one complete version at least; what a killed deploy left is not a version"


STOPPED = """
import os, signal, sys, time
from pantheon import worker
from pantheon.workflow import graph
from pantheon.workflow.run import Run

tidy = worker.tidy
worker.tidy = lambda run, pid=None: (tidy(run, pid), time.sleep(1))  # as long as a busy machine may take


def work(run):
    part = run.folder / f".train.parquet.{os.getpid()}.0.part"
    part.touch()
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        part.stat()  # gone, once it is cleared up


run = Run.find(worker.state_folder(), sys.argv[1])
worker.in_thread(lambda: graph.run_stage("load_data", run, None, worker.report, graph.Other("test", work)), run)
"""


def test_a_stage_whose_files_are_removed_while_it_runs_is_interrupted_not_failed(run: Run) -> None:
    environment = {**os.environ, "STATE_DIR": str(run.state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", STOPPED, run.id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert [json.loads(line).get("state", "") for line in done.stdout.splitlines()] == ["running", ""]
    assert run.records()["load_data"].state == "interrupted"


def test_two_processes_never_work_in_one_run(run: Run) -> None:
    first = start(run.state, "--run", run.id)
    assert first.stdout
    assert any('"running"' in line for line in first.stdout), "its first stage runs, so it holds the run"
    second = start(run.state, "--run", run.id)
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process" in reported(out)[-1]["cause"]
    first.kill()
    first.wait()
    first.stdout.close()
