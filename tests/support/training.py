"""Runs made of a frame that is typed already, as split_data leaves it; and runs of the bundled data."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.store import FolderStore
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Target
from pantheon.workflow.data.spec_file import dump_spec, read_spec
from pantheon.workflow.run import Params, Run
from tests.support import DATASETS

TRAINING = (
    "preprocess",
    "feature_engineering",
    "feature_selection",
    "train",
    "model_selection",
    "hyperparameter_tuning",
    "evaluate",
)
FEW = Params(trials=1, folds=2)

MakeRun = Callable[..., Run]
Trained = Callable[..., Run]

# An extension file of a user, with a candidate and with a feature.
CANDIDATE = """
from sklearn.ensemble import ExtraTreesClassifier
from pantheon.workflow.extensions import candidate

@candidate("extra_trees", task="classification", space={"max_depth": (3, 8), "criterion": ["gini", "entropy"]})
def extra_trees(seed, max_depth=6, **params):
    return ExtraTreesClassifier(20, max_depth=max_depth, random_state=seed, **params)
"""


FEATURE = """
from pantheon.workflow.expressions import log1p
from pantheon.workflow.extensions import feature

@feature("starts_per_year")
def starts_per_year(columns):
    return log1p(columns["starts"] / (columns["age"] + 1)) * (columns["battery"] == "low")
"""


def stages(run: Run, *names: str, store: Any = None) -> dict[str, dict[str, Any]]:
    """Call stages one after another; their summaries by name."""
    found = {}
    for name in names:
        stage = getattr(importlib.import_module(f"pantheon.workflow.stages.{name}"), name)
        found[name] = stage(run, store) if name in ("model_comparison", "deploy") else stage(run)
    return found


def everything(run: Run, store: Any) -> dict[str, Any]:
    """Train, judge and deploy; the outcome."""
    stages(run, *TRAINING, "performance_metrics")
    return deployed(run, store)


def deployed(run: Run, store: Any) -> dict[str, Any]:
    """Deploy a trained run; return its outcome."""
    return stages(run, "model_comparison", "deploy", store=store)["deploy"]


def toy_spec(**changes: Any) -> Spec:
    """Machines that break: every type of column, one entity with several rows."""
    columns = (
        Column("machine", "integer", "entity"),
        Column("age", "number", nullable=True, min=0, max=60),
        Column("starts", "integer"),
        Column("indoors", "boolean", nullable=True),
        Column("battery", "category", categories=("high", "low", "medium"), nullable=True, slice=True),
        Column("town", "category", categories=tuple(f"town {n}" for n in range(40)), unknown="other", nullable=True),
        Column("built", "date", nullable=True),
        Column("serviced", "date", nullable=True),
        Column("broken", "boolean", "target"),
    )
    target = Target("broken", (False, True), {"false": "Runs", "true": "Broken"}, positive=True)
    spec = Spec(
        "machines", "classification", Source("file", path="machines.csv"), target, columns, Split("hash", "machine")
    )
    return replace(spec, **changes)


def toy_frame(rows: int = 600, seed: int = 0, regression: bool = False) -> pl.DataFrame:
    """Rows of ``toy_spec``: breaking depends on age, battery, town and the season of the last service."""
    random = np.random.default_rng(seed)
    age = random.uniform(0, 40, rows)
    battery = random.integers(0, 3, rows)
    town = random.integers(0, 40, rows)
    serviced = random.integers(19000, 20000, rows)
    worn = 0.1 * (age - 20) + 1.5 * (battery == 1) + np.sin(town) + 0.8 * np.cos(serviced / 365.2425 * 2 * np.pi)
    worn = worn + random.normal(0, 0.7, rows)
    holes = lambda share: random.random(rows) < share  # noqa: E731
    frame = pl.DataFrame(
        {
            "machine": np.arange(rows) // 3,
            "age": age,
            "starts": (random.lognormal(5, 2, rows)).astype(np.int64),
            "indoors": random.random(rows) < 0.5,
            "battery": np.array(["high", "low", "medium"])[battery],
            "town": np.array([f"town {n}" for n in range(40)])[town],
            "built": (serviced - random.integers(0, 4000, rows)).astype(np.int32),
            "serviced": serviced.astype(np.int32),
            "broken": worn if regression else (worn > 0).astype(np.int32),
        }
    ).with_columns(pl.col("built", "serviced").cast(pl.Date))
    for name in ("age", "indoors", "battery", "town", "built"):
        empty = pl.Series(holes(0.07))
        frame = frame.with_columns(pl.when(empty).then(None).otherwise(pl.col(name)).alias(name))
    return frame


def _make(state: Path, spec: Spec, frame: pl.DataFrame, params: Params) -> Run:
    run = Run.create(state, dump_spec(spec), spec.name, params)
    held_out = pl.Series(np.arange(len(frame)) // 3 % 5 == 0)
    run.path("data").mkdir()
    frame.filter(~held_out).write_parquet(run.path("data/train.parquet"))
    frame.filter(held_out).write_parquet(run.path("data/test.parquet"))
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """``make_run(spec, frame)``: a run as split_data leaves it, every fifth entity held out."""

    def make(
        spec: Spec | None = None, frame: pl.DataFrame | None = None, params: Params = FEW, state: str = "state"
    ) -> Run:
        return _make(tmp_path / state, spec or toy_spec(), toy_frame() if frame is None else frame, params)

    return make


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The toy data's run up to performance_metrics: trained once for all tests that only deploy it."""
    run = _make(tmp_path_factory.mktemp("trained") / "state", toy_spec(), toy_frame(), FEW)
    stages(run, *TRAINING, "performance_metrics")
    return run


@pytest.fixture
def trained(tmp_path: Path, trained_once: Run) -> Callable[..., Run]:
    """``trained(approval="required")``: a copy of that run, as if it had been asked with these parameters."""

    def make(**params: Any) -> Run:
        runs = tmp_path / "state" / "runs"
        folder = runs / f"20260101-000000-{len(list(runs.glob('2*'))) if runs.exists() else 0:04x}"
        shutil.copytree(trained_once.folder, folder)
        asked = json.loads((folder / "run.json").read_text())
        asked = asked | {"id": folder.name, "params": asked["params"] | params}
        (folder / "run.json").write_text(json.dumps(asked))
        return Run(folder)

    return make


@pytest.fixture
def bundled(tmp_path: Path) -> Callable[..., Run]:
    """``bundled("wine")``: a run of the bundled data up to split_data."""

    def make(name: str, rows: int | None = None, params: Params = FEW, state: str = "state") -> Run:
        spec = read_spec(DATASETS / f"{name}.toml")
        if rows:
            spec = replace(spec, source=replace(spec.source, rows=rows))
        run = Run.create(tmp_path / state, dump_spec(spec), name, Params(**asdict(params)))
        stages(run, "load_data", "clean_data", "split_data")
        return run

    return make


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "state" / "models")


def extend(run: Run, **files: str) -> None:
    (run.state / "extensions").mkdir(exist_ok=True)
    for name, text in files.items():
        (run.state / "extensions" / f"{name}.py").write_text(text)
