"""Runs of a deployment with the feature store, by the command line: what they train on, for every kind of data."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pantheon.features.client import Features
from pantheon.files import read_json
from pantheon.workflow import graph
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.data.spec_file import read_spec
from tests.support import DATASETS
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.feature_runs import Deployment
from tests.support.hephaestus import WITHOUT
from tests.support.training import toy_frame

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KINDS = {
    "robots": "looked up by 'robot-id', and for training as they were known at each row's 'observed-at'",
    "churn": "can only be read for training, by row. Requests bring their features themselves. If 'customer_id' says",
    "wine": "neither an entity column nor a time column",
    "diabetes": "neither an entity column nor a time column",
    "latest": "there is no time column, so the time of loading is used",
    "times": "'serviced' is each row's time",
}

RUST = """
from pantheon.workflow.extensions import feature

@feature("rust_per_year")
def rust_per_year(columns):
    return columns["rust-level"] / (columns["robot-age"] + 1)
"""


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    """The feature store beside the button: no Airflow, no notebooks."""
    made = make_pantheon(tmp_path_factory.mktemp("forge"), TRIALS="1")
    try:
        made("up", "hephaestus", "--without", WITHOUT, "--no-run", timeout=500)
        yield made
    finally:
        made("destroy", "--confirm", "yes")
        assert_nothing_left(made.home)


@pytest.fixture
def runs(forge: Pantheon, tmp_path: Path) -> Deployment:
    """Runs of this test, which use the deployment's feature store."""
    client = Features(f"http://127.0.0.1:{6568 + forge.offset}", forge.state / "secrets" / "features" / "key")
    return Deployment(tmp_path / "state", read_spec(DATASETS / "robots.toml"), client)


def spec_of(kind: str, folder: Path) -> tuple[Spec, pl.DataFrame | None]:
    """Return a dataset of the kind."""
    if kind in ("robots", "wine", "diabetes"):
        return read_spec(DATASETS / f"{kind}.toml"), None
    frame = toy_frame(300).drop("machine", "built", "serviced")
    if kind == "latest":
        frame = frame.with_columns(customer_id=pl.Series(np.random.default_rng(3).permutation(300)))
    elif kind == "times":
        frame = frame.with_columns(toy_frame(300)["serviced"])
    else:
        frame = pl.read_csv(DATASETS / "churn.csv")
    (folder / "data").mkdir()
    frame.write_csv(folder / "data" / f"{kind}.csv")
    spec = infer_spec(folder / "data" / f"{kind}.csv", "churned" if kind == "churn" else "broken")
    roles = {"customer_id": "entity", "serviced": "time"}
    if kind != "churn":
        columns = tuple(replace(c, role=roles.get(c.name, c.role)) for c in spec.columns)
        spec = replace(spec, columns=columns)
    return spec, frame


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_gives_the_rows_of_the_file(kind: str, runs: Deployment, tmp_path: Path) -> None:
    """So the model is that of the other tiers: what is trained on is the same to the last bit."""
    spec, frame = spec_of(kind, tmp_path)
    (runs.state / "extensions" / "mine.py").write_text(RUST if kind == "robots" else "")
    run = runs.run(frame, spec)
    assert KINDS[kind] in " ".join(run.records()["feature_engineering"].notes)
    assert not run.records()["train"].notes
    plain = runs.run(frame, spec, trained=False)
    graph.run_script(plain, None, lambda event: None, "preprocess")  # type: ignore[arg-type]
    for part in ("train", "test"):
        assert run.path(f"features/{part}.npz").read_bytes() == plain.path(f"features/{part}.npz").read_bytes()
    assert run.path("features/preprocess.json").read_bytes() == plain.path("features/preprocess.json").read_bytes()


def test_a_corrected_file_changes_nothing_that_was_known_before(runs: Deployment, tmp_path: Path) -> None:
    frame = toy_frame(300).drop("built").rename({"machine": "machine_id"}).unique(["machine_id", "serviced"])
    frame = frame.sort("machine_id", "serviced")
    (tmp_path / "data").mkdir()
    frame.write_csv(tmp_path / "data" / "machines.csv")
    spec = infer_spec(tmp_path / "data" / "machines.csv", "broken")
    first = runs.run(frame, spec)
    corrected = pl.int_range(pl.len()) < 12
    second = runs.run(frame.with_columns(age=pl.when(corrected).then(33.5).otherwise("age")), spec)
    for part in ("train", "test"):
        assert first.path(f"features/{part}.npz").read_bytes() == second.path(f"features/{part}.npz").read_bytes()
    (note,) = second.records()["train"].notes
    assert f"12 of {frame.height} rows have other values in the file now ('age')" in note


def test_a_feature_of_robots_is_an_input_of_another_model(runs: Deployment, tmp_path: Path) -> None:
    robots = runs.run()
    known = pl.concat([pl.read_parquet(robots.path(f"data/{part}.parquet")) for part in ("train", "test")])
    random = np.random.default_rng(1)
    repairs = pl.DataFrame(
        {
            "robot-id": random.integers(1, 1100, 400),
            "begun": [date(2024, 1, 1) + timedelta(days=int(day)) for day in random.integers(0, 730, 400)],
            "parts": random.integers(1, 9, 400),
            "again": random.random(400) < 0.5,
        }
    )
    (tmp_path / "data").mkdir()
    repairs.write_csv(tmp_path / "data" / "repairs.csv")
    spec = infer_spec(tmp_path / "data" / "repairs.csv", "again")
    battery = read_spec(DATASETS / "robots.toml").column("battery").categories
    stored = (
        Column("rust", "number", nullable=True, stored="robots:rust_level"),
        Column("charge", "category", nullable=True, categories=battery, stored="robots:battery"),
    )
    roles = {"robot-id": "entity", "begun": "time"}
    columns = tuple(replace(c, role=roles.get(c.name, c.role)) for c in spec.columns)
    run = runs.run(repairs, replace(spec, columns=(*columns, *stored)))
    # By hand: of a robot's rows until that day, the last one (rows of one day keep their order).
    days = known.sort("observed-at", maintain_order=True).unique(["robot-id", "observed-at"], keep="last")
    expected = repairs.sort("begun", maintain_order=True).join_asof(
        days.select("robot-id", "rust-level", "battery", begun="observed-at").sort("begun"), on="begun", by="robot-id"
    )
    several = days.join(known.group_by("robot-id", "observed-at").len(), on=["robot-id", "observed-at"])
    assert several.filter(pl.col("len") > 1).height  # duplicated observations, a microsecond apart
    found = pl.read_parquet(run.path("data/clean.parquet")).sort("begun", maintain_order=True)
    assert 200 < found["rust"].count() < 400
    assert found["rust"].to_list() == expected["rust-level"].to_list()
    assert found["charge"].to_list() == expected["battery"].to_list()
    model = read_json(run.path("features/store.json"))
    assert model["inputs"]["rust"]["view"] == "robots"
    assert read_json(robots.path("features/store.json"))["views"] == ["robots"]
