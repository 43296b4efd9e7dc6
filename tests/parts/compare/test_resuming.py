"""A comparison continues with the cells that are missing, and a cell that fails does not stop the others."""

import os
from pathlib import Path
from typing import Any

import pytest

from pantheon import files
from pantheon.compare import cell as cells
from pantheon.compare import plan
from pantheon.compare.compare import Comparison
from pantheon.compare.work import Work
from pantheon.errors import PantheonError
from tests.support import comparisons

TIERS = ["persephone", "daedalus", "prometheus"]


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    found = plan.cells(plan.chosen_tiers(",".join(TIERS)), ["local"], plan.Data())
    return Comparison(Work(tmp_path / "compare"), found)


def measuring(monkeypatch: pytest.MonkeyPatch, fails: dict[str, BaseException]) -> list[str]:
    """Measure with made-up figures; return the tiers that were measured, which grows."""
    asked: list[str] = []

    def measure(cell: plan.Cell, *_: Any) -> dict[str, Any]:
        asked.append(cell.tier.name)
        assert os.environ["PANTHEON_HOME"].endswith("compare/deployments"), (
            "commands act on the comparison's own folder"
        )
        if cell.tier.name in fails:
            raise fails[cell.tier.name]
        return comparisons.cell()

    monkeypatch.setattr(cells, "measure", measure)
    return asked


def test_an_interrupted_comparison_continues_with_the_missing_cells(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measuring(monkeypatch, {"daedalus": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        comparison.run()
    assert asked == ["persephone", "daedalus"]
    again = measuring(monkeypatch, {})
    assert list(comparison.run()["tiers"]) == TIERS
    assert again == ["daedalus", "prometheus"]
    assert comparison.run()["metrics_equal"]
    assert again == ["daedalus", "prometheus"], "nothing is missing"


def test_a_cell_that_fails_is_in_the_report_and_measured_again_next_time(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, {"daedalus": PantheonError("the disk is full.", "Free some space.")})
    report = comparison.run()
    assert report["errors"] == [{"tier": "daedalus", "engine": "local", "why": "the disk is full. Free some space."}]
    assert set(report["tiers"]["prometheus"]) == {"local"}
    again = measuring(monkeypatch, {})
    assert comparison.run()["errors"] == []
    assert again == ["daedalus"]


def test_two_comparisons_at_once_are_refused(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, {})
    comparison.work.folder.mkdir(parents=True)
    with (
        files.lock(comparison.work.folder / "lock"),
        pytest.raises(PantheonError, match="another comparison is running"),
    ):
        comparison.run()
