"""Runs that Airflow tasks create or share: by name, up to a stage, and in several processes."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.worker import reported

ID = "20260131-142500-0a1b"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def run(state: Path) -> Run:
    return Run.create(state, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2), runner="graph")


def tasks(state: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    environment = {**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "pantheon.worker", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, reported(done.stdout)


def test_a_stage_creates_its_run_once(state: Path) -> None:
    asked = {"dataset": "robots", "params": {"trials": 2, "seed": 7}, "tier": "prometheus", "runner": "graph"}
    for _ in range(2):
        code, events = tasks(state, "stage", "load_data", "--run", ID, "--create", json.dumps(asked))
        assert code == 0
        assert events[-1]["state"] == "done"
    run = Run.find(state, ID)
    assert {key: getattr(run.record, key) for key in ("dataset", "tier", "runner")} == {
        key: asked[key] for key in ("dataset", "tier", "runner")
    }
    assert run.params == Params(trials=2, seed=7)
    code, events = tasks(
        state, "stage", "load_data", "--run", ID, "--create", '{"dataset": "robots", "params": {"trials": 3}}'
    )
    assert code == 2
    assert "already exists with other parameters" in events[-1]["cause"]
    grown = asked | {"tier": "zeus"}  # between two tries of a task the deployment may grow
    assert tasks(state, "stage", "load_data", "--run", ID, "--create", json.dumps(grown))[0] == 0


def test_the_deployments_spec_takes_precedence(state: Path) -> None:
    (state / "data").mkdir()
    own = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 300")
    assert "rows = 300" in own
    (state / "data" / "robots.toml").write_text(own)
    code, events = tasks(state, "stage", "load_data", "--run", ID, "--create", '{"dataset": "robots"}')
    assert code == 0
    assert events[-1]["summary"]["rows"] == 300


def test_the_two_feature_stages_in_two_processes_at_once(run: Run) -> None:
    graph.run_graph(run, None, lambda event: None, "preprocess")
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(
            lambda name: tasks(run.state, "stage", name, "--run", run.id), ("feature_engineering", "feature_selection")
        )
        assert [code for code, _ in both] == [0, 0]
    assert graph.finished(run) >= {"feature_engineering", "feature_selection"}
