"""The figures of quick_preprocessing are correct, and a shift of the held-out rows is detected."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from pantheon import notebook
from pantheon.notebook import quick
from pantheon.workflow.run import Params, Run
from pantheon.workflow.training.matrix import Table
from tests.support import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path, (ROOT / "datasets" / "robots.toml").read_text(), "robots", Params())
    for stage in notebook.ETL:
        notebook.stage(made, stage)
    return made


def test_the_distance_is_the_kolmogorov_smirnov_statistic() -> None:
    random = np.random.default_rng(0)
    one, two = random.normal(0, 1, 300), random.normal(0.3, 1.2, 200)
    assert quick._distance(np.append(one, np.nan), two) == pytest.approx(ks_2samp(one, two).statistic)
    assert quick._distance(one, np.full(3, np.nan)) == 1
    assert quick._variation(np.array([0.0, 0, 1, np.nan]), np.array([0.0, 1, 1, np.nan])) == pytest.approx(0.25)


def test_only_the_shifted_column_is_reported(run: Run) -> None:
    before = {entry["column"]: entry for entry in quick.drift(run).to_dicts()}
    assert set(before) == {"robot-age", "rust-level", "battery", "condition"}
    assert {entry[""] for entry in before.values()} == {"similar"}
    path = run.path("features/test.npz")
    test = Table.load(path)
    test.X[:, 1] += 4  # rust-level
    test.save(path)
    worst, *others = quick.drift(run).to_dicts()
    assert worst["column"] == "rust-level"
    assert worst["drift"] > 0.3
    assert "differ" in worst[""]
    assert {entry[""] for entry in others} == {"similar"}


def test_columns_and_cleaning_describe_the_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {entry["column"]: entry for entry in quick.columns(run).to_dicts()}
    assert columns["battery"]["values"].count("%") == 3
    assert columns["rust-level"]["values"].startswith("0 …")
    assert 0.01 < columns["rust-level"]["missing"] < 0.04
    changes = quick.cleaned(run)
    assert "rows before cleaning" in capsys.readouterr().out
    assert set(changes["column"]) >= {"robot-age", "battery"}
