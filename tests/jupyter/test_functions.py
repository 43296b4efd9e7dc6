"""What the notebooks call, without a Jupyter: when a stage is done again, threads, and messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pantheon import notebook
from pantheon.errors import PantheonError
from pantheon.workflow.run import Params, Run
from tests.conftest import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2, threads=1))


def mark(run: Run, stage: str, started: int, finished: int, state: str = "done") -> None:
    moments = {key: f"2026-01-01T00:00:{value:02}.000+00:00" for key, value in
               (("started", started), ("finished", finished))}  # fmt: skip
    run.mark(stage, state=state, summary={}, **moments)


def test_a_stage_is_current_when_nothing_it_reads_is_newer(run: Run) -> None:
    assert not notebook.is_current(run, "train")
    mark(run, "feature_engineering", 1, 2)
    mark(run, "feature_selection", 1, 3)
    mark(run, "train", 3, 5)
    assert notebook.is_current(run, "train")
    mark(run, "feature_engineering", 6, 7)  # somebody did it again
    assert not notebook.is_current(run, "train")
    mark(run, "train", 8, 9)
    assert notebook.is_current(run, "train")
    mark(run, "train", 8, 9, state="failed")
    assert not notebook.is_current(run, "train")
    with pytest.raises(PantheonError, match="no stage 'trian'"):
        notebook.is_current(run, "trian")


def test_another_number_of_threads_asks_for_a_new_kernel(run: Run) -> None:
    """Fresh processes: what is loaded into this one already does not matter."""
    lines = "{first}", "from pantheon import notebook", "notebook.open_run()", "import polars"
    code = "\n".join([*lines, "print(polars.thread_pool_size())"])
    environment = {**os.environ, "STATE_DIR": str(run.state), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    found = []
    for first in ("", "import numpy"):
        command = [sys.executable, "-P", "-c", code.format(first=first)]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))
    assert found[0].stdout.splitlines()[-1] == "1", found[0].stderr
    assert found[1].returncode != 0
    assert "Restart the kernel" in found[1].stderr


def test_missing_things_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(run.state))
    with pytest.raises(PantheonError, match=r"metrics\.json is missing from run .* Run the cell"):
        notebook.read(run, "metrics.json")
    (run.state / "data").mkdir()
    (run.state / "data" / "mine.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr(notebook, "_fix_threads", lambda params: None)
    with pytest.raises(PantheonError, match=r"no file yours\.csv in data/\. .*there now: mine\.csv"):
        notebook.infer("yours.csv", "b")


def test_tables_are_for_people() -> None:
    shown = notebook.table(
        [{"name": "C", "mean": 0.123456, "params": {"depth": 3}, "of": ["a", "b"]}, {"name": "D", "params": {}}]
    )
    assert shown.to_dicts() == [
        {"name": "C", "mean": 0.1235, "params": "depth 3", "of": "a, b"},
        {"name": "D", "mean": None, "params": "defaults", "of": None},
    ]
    assert notebook.table([], "name", "why").columns == ["name", "why"]
