"""The stage train in several processes, with the variables that Trainer sets, has the outputs of the stage in one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest

from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import Table
from tests.support import ROOT
from tests.support.training import CANDIDATE, extend, stages
from tests.support.waiting import until

NODES = 3


started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Of a test that fails, nodes may wait for ever."""
    yield
    for process in started:
        process.kill()
        process.wait()
    started.clear()


def start(run: Run, folder: Path, rank: int, nodes: int = NODES) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pantheon.shares", "--run", run.id],
        env={
            **os.environ,
            "STATE_DIR": str(run.state),
            "PYTHONPATH": str(ROOT),
            "CHECKPOINT_DIR": str(folder),
            "PET_NNODES": str(nodes),
            "PET_NODE_RANK": str(rank),
        },
        cwd=run.state,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_train_in_shares_equals_train_in_one_process(bundled: Callable[..., Run], tmp_path: Path) -> None:
    one = bundled("wine")
    extend(one, own=CANDIDATE)
    stages(one, "preprocess", "feature_engineering", "feature_selection")
    both = Run(one.folder.with_name("20260101-000000-0001"))
    shutil.copytree(one.folder, both.folder)
    stages(one, "train")

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    first = start(both, folder, 0)  # alone, it fits its share and waits; then it is stopped, as by a suspension
    until(lambda: len(list(folder.glob("*/trees-*"))) == 6 + 2, what="the share of the first node")
    assert not both.path("candidates.json").exists()
    first.send_signal(signal.SIGTERM)
    assert ended(first)[0] == 128 + signal.SIGTERM
    assert both.records()["train"].state == "interrupted"

    processes = [start(both, folder, rank) for rank in reversed(range(NODES))]
    for process in processes:
        code, said = ended(process)
        assert code == 0, said
    assert "continuing with the trees that are done" in said
    assert both.records()["train"].state == "done"
    assert list(folder.rglob("trees-*")) == [], "they are in the model"

    table = Table.load(one.path("features/train.npz"))
    for file in ("features/design.json", "candidates.json"):
        first_one, other = (json.loads(run.path(file).read_text()) for run in (one, both))
        for report in (first_one, other):
            for entry in report.get("candidates", {}).values():
                entry.pop("seconds")
        assert first_one == other
    for name in first_one["candidates"]:
        fitted, same = (joblib.load(run.path(f"candidates/{name}.joblib")) for run in (one, both))
        np.testing.assert_array_equal(fitted.predict(table.X), same.predict(table.X))
        if name in ("random_forest", "extra_trees"):
            assert export(fitted).SerializeToString() == export(same).SerializeToString()


def test_what_is_not_valid_is_said_in_one_line(bundled: Callable[..., Run], tmp_path: Path) -> None:
    run = bundled("wine", rows=300)
    processes = {
        "there are only 2 nodes": start(run, tmp_path, 2, 2),
        "PET_NNODES must be a whole number from 1 on, not '-1'": start(run, tmp_path, 0, -1),
        "features/selected.json is missing": start(run, tmp_path, 0, 2),
    }
    for said, process in processes.items():
        code, lines = ended(process)
        assert code == 2
        assert said in lines.splitlines()[-1]
        assert "Traceback" not in lines


@pytest.mark.parametrize("missing", ["run", "folder"])
def test_nodes_that_lack_something_say_so(tmp_path: Path, missing: str) -> None:
    environment = {**os.environ, "STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    if missing == "run":
        environment["CHECKPOINT_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pantheon.shares", "--run", "20260101-000000-0001"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert ("there is no run" if missing == "run" else "CHECKPOINT_DIR is not set") in done.stderr
