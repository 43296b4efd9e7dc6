"""An engineered view is computed again for stored rows that it lacks, as the run that made it computes it."""

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.features import backfill
from pantheon.features.contract import CREATED, EVENT
from pantheon.workflow.run import Run
from tests.support.feature_runs import Deployment
from tests.support.feature_store import MemoryFeatures
from tests.unit.features.test_stages import FEATURE, ROWS, observations, robots

KEYS = ["robot_id", EVENT, CREATED]


class Known(MemoryFeatures):
    """What the real service also says about views, and the rows that one view has and another has not."""

    def described(self, view: str) -> dict[str, Any]:
        own = self.views[view]
        of = [other.name for other in self.views.values() if own.kind == "engineered" and other.kind == "raw"]
        return {**super().described(view), "lineage": {"of": of, "feeds": []}, "services": []}

    def missing(self, view: str, lacking: str, since: str = "") -> bytes:
        newest: dict[Any, Any] = {}
        for row in self.rows[lacking]:
            newest[row["robot_id"], row[EVENT]] = row[CREATED]
        frame = pl.DataFrame(
            [
                row
                for row in self.rows[view]
                if (at := newest.get((row["robot_id"], row[EVENT]))) is None or row[CREATED] > at
            ],
            {name: pl.String if name == "robot_id" else pl.Datetime("us", "UTC") for name in KEYS}
            | {field.name: self._dtype(f"{view}:{field.name}") for field in self.views[view].fields},
        )
        file = BytesIO()
        frame.write_parquet(file)
        return file.getvalue()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path / "state", robots(), Known())


def computed(deployment: Deployment, operation: str, frame: pl.DataFrame) -> tuple[Run, str]:
    """A run whose feature is computed so; and its view."""
    (deployment.state / "extensions" / "mine.py").write_text(FEATURE.format(name="own", operation=operation))
    before = set(deployment.features.views)
    run = deployment.run(frame)
    (view,) = (name for name in deployment.features.views if "engineered" in name and name not in before)
    return run, view


def values(deployment: Deployment, view: str, field: str) -> dict[tuple[str, Any], Any]:
    return {(row["robot_id"], row[EVENT]): row[field] for row in deployment.features.rows[view]}


def test_rows_of_earlier_loads_are_computed_with_the_code_of_the_view(deployment: Deployment) -> None:
    computed(deployment, "* 2", observations())
    run, view = computed(deployment, "+ 1", observations(1).with_columns(pl.col("seen").dt.offset_by("1y")))
    rust = values(deployment, "robots", "rust")
    assert len(values(deployment, view, "own")) < len(rust)
    done = backfill.fill(deployment.features, view)
    assert (done["run"], done["view"]) == (run.id, view)
    own = values(deployment, view, "own")
    assert own.keys() == rust.keys() and done["new"] == ROWS
    assert all(value == pytest.approx(rust[place] + 1, abs=1e-6) for place, value in own.items())
    assert backfill.fill(deployment.features, view)["new"] == 0
    count = len(deployment.features.rows[view])
    deployment.run(observations())
    assert len(deployment.features.rows[view]) == count, (
        "a run of the old data computes the same values to the last bit"
    )


def test_a_correction_is_computed_as_one(deployment: Deployment) -> None:
    _, view = computed(deployment, "* 2", observations())
    store = deployment.features
    first = store.rows["robots"][0]
    deployment.features.rows[view] = [row for row in store.rows[view] if row["robot_id"] != first["robot_id"]]
    store.rows["robots"].append({**first, "rust": 1.5, CREATED: store.now})
    backfill.fill(store, view)
    found = [row for row in store.rows[view] if (row["robot_id"], row[EVENT]) == (first["robot_id"], first[EVENT])]
    assert [row["own"] for row in found] == [pytest.approx(2 * first["rust"], abs=1e-5), 3.0]
    assert found[0][CREATED] == first[EVENT] and found[1][CREATED] == store.now, "known only from then on"


def test_a_view_is_computed_without_its_run_but_not_without_its_code(deployment: Deployment) -> None:
    run, view = computed(deployment, "* 2", observations())
    with pytest.raises(PantheonError, match="nothing is computed in it"):
        backfill.fill(deployment.features, "robots")
    shutil.rmtree(run.folder)
    deployment.features.rows[view].clear()
    assert backfill.fill(deployment.features, view)["new"] == ROWS
    deployment.features.views[view].code = None
    with pytest.raises(PantheonError, match="the code of"):
        backfill.fill(deployment.features, view)
