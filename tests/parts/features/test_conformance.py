"""A run with the feature store gives the same model as one without, for every kind of dataset."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pantheon.features.stages import Stages
from pantheon.files import read_json
from pantheon.store import FolderStore
from pantheon.workflow import graph
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.data.spec_file import dump_spec
from pantheon.workflow.run import Params, Run
from tests.support import DATASETS
from tests.support.agreement import answers, differences
from tests.support.feature_store import MemoryFeatures
from tests.support.training import FEW, extend, toy_frame

Same = Callable[..., Run]


@pytest.fixture
def same(tmp_path: Path, features: MemoryFeatures) -> Same:
    """``same(spec, file)``: run a dataset without and with the feature store; check that the models are the same."""

    def same(spec: Spec, file: Path | None = None, **extensions: str) -> Run:
        runs = []
        for hook in (None, Stages(lambda: features)):
            state = tmp_path / ("with" if hook else "without")
            run = Run.create(state, dump_spec(spec), spec.name, Params(**{**vars(FEW)}))
            if file:
                (state / "data").mkdir(exist_ok=True)
                shutil.copy(file, state / "data" / file.name)
            extend(run, **extensions)
            graph.run_script(run, FolderStore(state / "models"), lambda event: None, hook=hook)
            runs.append(run)
        one, other = runs
        assert list(differences(read_json(one.path("metrics.json")), read_json(other.path("metrics.json")))) == []
        for a, b in zip(answers(one.folder), answers(other.folder), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
        for part in ("train", "test"):
            assert one.path(f"features/{part}.npz").read_bytes() == other.path(f"features/{part}.npz").read_bytes()
        assert (one.path("bundle/features.json").exists(), other.path("bundle/features.json").exists()) == (False, True)
        return other

    return same


def said(run: Run) -> str:
    return " ".join(run.records()["feature_engineering"].notes)


def bundled_spec(name: str, rows: int = 1500) -> Spec:
    from pantheon.workflow.data.spec_file import read_spec

    spec = read_spec(DATASETS / f"{name}.toml")
    return replace(spec, source=replace(spec.source, rows=rows)) if name == "robots" else spec


def test_robots_with_a_feature_of_a_user(same: Same, features: MemoryFeatures) -> None:
    rust = (
        "from pantheon.workflow.extensions import feature\n"
        '@feature("rust_per_year")\ndef f(columns):\n    return columns["rust-level"] / (columns["robot-age"] + 1)\n'
    )
    run = same(bundled_spec("robots"), mine=rust)
    assert "looked up by 'robot-id', and for training as they were known at each row's 'observed-at'" in said(run)
    raw, engineered = features.views.values()
    assert (raw.name, raw.key, raw.kind) == ("robots", "robot_id", "raw")
    assert engineered.name.startswith("robots_engineered_")
    assert engineered.fields[0].expression == '"rust-level" / ("robot-age" + 1)'
    model = read_json(run.path("bundle/features.json"))
    assert model["service"] == f"robots_{run.id.replace('-', '_')}"
    assert model["inputs"]["rust-level"] == {
        "view": "robots",
        "field": "rust_level",
        "type": "number",
        "ttl_seconds": 0,
    }
    assert read_json(run.path("bundle/lineage.json"))["features"] == {
        "service": model["service"],
        "views": ["robots", engineered.name],
    }
    assert f"the feature service `{model['service']}`".lower() in run.path("bundle/card.md").read_text().lower()
    assert set(features.services[model["service"]].features) == {
        *("robots:robot_age", "robots:rust_level", "robots:battery"),
        f"{engineered.name}:rust_per_year",
    }
    assert features.online == ["robots", engineered.name]


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_data_without_an_entity(name: str, same: Same, features: MemoryFeatures) -> None:
    run = same(bundled_spec(name))
    assert "neither an entity column nor a time column" in said(run)
    assert read_json(run.path("bundle/features.json"))["inputs"] == {}
    assert features.online == []


def test_a_file_with_dates_without_an_entity(same: Same) -> None:
    """The bundled customers: a date, categories, booleans, an engineered season."""
    run = same(infer_spec(DATASETS / "churn.csv", "churned"), DATASETS / "churn.csv")
    assert "no entity column" in said(run) or "neither an entity column" in said(run)


def table(tmp_path: Path, **more: pl.Series) -> Path:
    frame = toy_frame(600).drop("machine", "built", "serviced").with_columns(**more)
    path = tmp_path / "machines.csv"
    frame.write_csv(path)
    return path


def test_an_entity_with_a_time_that_is_the_only_date(same: Same, tmp_path: Path) -> None:
    frame = toy_frame(600)
    file = table(tmp_path, customer_id=frame["machine"] + 1000, serviced=frame["serviced"])
    spec = infer_spec(file, "broken")
    assert spec.column("customer_id").role == "entity"
    assert (
        "looked up by 'customer_id', and for training as they were known at each row's 'serviced', the only date"
        in (said(same(spec, file)))
    )


def test_an_entity_without_a_time(same: Same, tmp_path: Path, features: MemoryFeatures) -> None:
    file = table(tmp_path, machine_id=pl.Series(np.random.default_rng(3).permutation(600)))
    spec = infer_spec(file, "broken")
    columns = tuple(replace(c, role="entity") if c.name == "machine_id" else c for c in spec.columns)
    run = same(replace(spec, columns=columns), file)
    assert "point in time means latest" in said(run)
    assert set(read_json(run.path("bundle/features.json"))["inputs"]) == {c.name for c in spec.features}
    assert features.online[0] == "machines"


def test_an_entity_with_several_rows_and_no_time(same: Same, tmp_path: Path) -> None:
    file = table(tmp_path, machine_id=toy_frame(600)["machine"])
    run = same(infer_spec(file, "broken"), file)
    assert "no time column says which is the latest" in said(run)
    assert 'role = "time"' in said(run)


def test_a_time_without_an_entity(same: Same, tmp_path: Path) -> None:
    file = table(tmp_path, serviced=toy_frame(600)["serviced"])
    spec = infer_spec(file, "broken")
    columns = tuple(replace(c, role="time") if c.name == "serviced" else c for c in spec.columns)
    run = same(replace(spec, columns=columns), file)
    assert "'serviced' is each row's time" in said(run)
