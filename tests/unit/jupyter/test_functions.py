"""Functions that notebooks call, tested without Jupyter: when a stage runs again, threads, and messages."""

from pathlib import Path

import pytest

from pantheon import notebook
from pantheon.errors import PantheonError
from pantheon.state import StageRecord
from pantheon.workflow.run import Params, Run
from tests.support import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2, threads=1))


def mark(run: Run, stage: str, started: int, finished: int, state: str = "done") -> None:
    moments = {key: f"2026-01-01T00:00:{value:02}.000+00:00" for key, value in
               (("started", started), ("finished", finished))}  # fmt: skip
    run.mark(StageRecord(stage, state, **moments))


def test_a_stage_is_current_if_none_of_its_inputs_is_newer(run: Run) -> None:
    assert not notebook.is_current(run, "train")
    mark(run, "feature_engineering", 1, 2)
    mark(run, "feature_selection", 1, 3)
    mark(run, "train", 3, 5)
    assert notebook.is_current(run, "train")
    mark(run, "feature_engineering", 6, 7)  # it ran again
    assert not notebook.is_current(run, "train")
    mark(run, "train", 8, 9)
    assert notebook.is_current(run, "train")
    mark(run, "train", 8, 9, state="failed")
    assert not notebook.is_current(run, "train")
    with pytest.raises(PantheonError, match="no stage 'trian'"):
        notebook.is_current(run, "trian")


def test_errors_name_the_missing_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(run.state))
    with pytest.raises(PantheonError, match=r"metrics\.json is missing from run .* Run the cell"):
        notebook.read(run, "metrics.json")
    (run.state / "data").mkdir()
    (run.state / "data" / "mine.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr(notebook, "_fix_threads", lambda params: None)
    with pytest.raises(PantheonError, match=r"no file yours\.csv in data/\. .*there now: mine\.csv"):
        notebook.infer("yours.csv", "b")


def test_tables_are_readable() -> None:
    table = notebook.table(
        [{"name": "C", "mean": 0.123456, "params": {"depth": 3}, "of": ["a", "b"]}, {"name": "D", "params": {}}]
    )
    assert table.to_dicts() == [
        {"name": "C", "mean": 0.1235, "params": "depth 3", "of": "a, b"},
        {"name": "D", "mean": None, "params": "defaults", "of": None},
    ]
    assert notebook.table([], "name", "why").columns == ["name", "why"]
