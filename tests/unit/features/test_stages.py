"""Stages at a tier with a feature store, with a store in memory: what is stored, and what is trained on."""

from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.features import computing, training
from pantheon.features.contract import ModelFeatures
from pantheon.features.stages import Stages
from pantheon.files import read_json
from pantheon.state import Settings, write_settings
from pantheon.versioning import contents
from pantheon.versioning.pipeline import Workspace
from pantheon.workflow import graph
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Store, Target
from pantheon.workflow.graph import Other
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import Table
from tests.support.feature_runs import UNTIL_TRAIN, Deployment

DAY = date(2024, 1, 1)
ROWS = 120
FEATURE = """
from pantheon.workflow.extensions import feature

@feature("{name}")
def computed(columns):
    return columns["rust"] {operation}
"""
TARGET = Target("bad", (False, True), positive=True)


def robots(**changes: Any) -> Spec:
    columns = (
        Column("robot-id", "integer", "entity"),
        Column("seen", "date", "time", nullable=True),
        Column("rust", "number", nullable=True, min=0, max=10),
        Column("battery", "category", categories=("low", "high"), nullable=True),
        Column("fed", "boolean", "ignore"),
        Column("bad", "boolean", "target"),
    )
    given = {"columns": columns, "split": Split("hash", "robot-id"), **changes}
    return Spec("robots", "classification", Source("file", path="robots.csv"), TARGET, **given)


def observations(seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rust = random.uniform(0, 10, ROWS).round(2)
    return pl.DataFrame(
        {
            "robot-id": np.arange(ROWS) // 3,
            "seen": [DAY + timedelta(days=int(n)) for n in random.integers(0, 300, ROWS)],
            "rust": rust,
            "battery": random.choice(["low", "high"], ROWS),
            "fed": False,
            "bad": rust + random.normal(0, 2, ROWS) > 5,
        }
    )


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path / "state", robots())


def notes(run: Run, stage: str) -> str:
    return " ".join(run.records()[stage].notes)


def values(run: Run, column: str = "rust") -> dict[tuple[int, date], float]:
    """Return a column that the run trains and tests on, by robot and day."""
    place = [entry["name"] for entry in read_json(run.path("features/preprocess.json"))["inputs"]].index(column)
    found = {}
    for part in ("train", "test"):
        X = Table.load(run.path(f"features/{part}.npz")).X
        rows = pl.read_parquet(run.path(f"data/{part}.parquet"))
        found |= dict(zip(rows.select("robot-id", "seen").rows(), X[:, place].tolist(), strict=True))
    return found


def one_a_day(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.unique(["robot-id", "seen"], keep="first", maintain_order=True)


# Training -------------------------------------------------------------------------------------------------------------


def test_rows_that_were_corrected_later_are_trained_on_as_they_were_known(deployment: Deployment) -> None:
    frame = one_a_day(observations())
    before = values(deployment.run(frame))
    corrected = frame.with_columns(pl.when(pl.col("robot-id") < 5).then(9.99).otherwise("rust").alias("rust"))
    later = pl.DataFrame({**corrected.row(0, named=True), "seen": DAY + timedelta(days=400), "rust": 1.25})
    run = deployment.run(pl.concat([corrected, later.select(corrected.columns)]))
    after = values(run)
    assert {key: after[key] for key in before} == before
    assert after[0, DAY + timedelta(days=400)] == 1.25
    changed = frame.filter(pl.col("robot-id") < 5).height
    said = f"{changed} of {frame.height + 1} rows have other values in the file now ('rust'); training uses what was"
    assert said in notes(run, "train")
    rust = read_json(run.path("features/preprocess.json"))["inputs"][0]
    X = Table.load(run.path("features/train.npz")).X
    assert rust["seen"] == [float(X[:, 0].min()), float(X[:, 0].max())]


def test_everything_that_became_known_after_a_time_leaves_earlier_rows_as_they_were(deployment: Deployment) -> None:
    cut = DAY + timedelta(days=150)
    frame = one_a_day(observations())
    early = frame.filter(pl.col("seen") <= cut)
    before = values(deployment.run(early))
    late = frame.filter(pl.col("seen") > cut).with_columns(rust=pl.lit(3.0), battery=pl.lit("low"))
    everything = pl.concat([early.with_columns(rust=pl.lit(7.0), battery=pl.lit("high")), late])
    run = deployment.run(everything)
    after = values(run)
    assert {key: value for key, value in after.items() if key[1] <= cut} == before
    assert {value for key, value in after.items() if key[1] > cut} == {3.0}


def test_a_run_that_repeats_a_stage_stores_nothing_twice(deployment: Deployment) -> None:
    run = deployment.run(observations())
    stored = {view: len(rows) for view, rows in deployment.features.rows.items()}
    graph.run_stage("feature_engineering", run, None, hook=Stages(lambda: deployment.features))
    assert {view: len(rows) for view, rows in deployment.features.rows.items()} == stored
    deployment.run(observations())
    assert {view: len(rows) for view, rows in deployment.features.rows.items()} == stored


def test_rows_that_users_labelled_are_trained_on_as_logged_and_not_stored(deployment: Deployment) -> None:
    frame = observations()
    fed = frame.head(3).with_columns(
        fed=pl.lit(True), rust=pl.lit(4.5), seen=DAY, **{"robot-id": pl.Series([-1, -2, -3])}
    )
    spec = robots(split=Split("hash", "robot-id", train_only="fed"))
    run = deployment.run(pl.concat([frame, fed]), spec)
    assert len(deployment.features.rows["robots"]) == frame.height
    assert [values(run)[-n, DAY] for n in (1, 2, 3)] == [4.5, 4.5, 4.5]


def test_a_column_that_was_not_chosen_is_not_in_the_service(deployment: Deployment) -> None:
    spec = robots(columns=(*robots().columns, Column("always", "number", nullable=True)))
    run = deployment.run(observations().with_columns(always=pl.lit(1.0)), spec)
    (service,) = deployment.features.services.values()
    assert service.features == ["robots:rust", "robots:battery"]
    model = read_json(run.path("features/store.json"))
    assert set(model["inputs"]) == {"rust", "battery", "always"}  # a request needs all inputs of the signature
    assert (model["entity"], model["key"], model["views"]) == ("robot-id", "robot_id", ["robots"])


def test_without_an_owner_in_the_spec_it_is_the_deployments_and_a_feature_may_name_one(deployment: Deployment) -> None:
    write_settings(deployment.state, Settings(owner="zoe"))
    extension(deployment, "half_rust", "/ 2")
    own = deployment.state / "extensions" / "half_rust.py"
    own.write_text(own.read_text().replace('("half_rust")', '("half_rust", owner="ben")'))
    deployment.run(observations())
    (engineered,) = (view for view in deployment.features.views.values() if view.kind == "engineered")
    assert (engineered.owner, [field.owner for field in engineered.fields]) == ("zoe", ["ben"])
    assert {each.owner for each in deployment.features.services.values()} == {"zoe"}


def test_the_spec_names_owner_age_and_freshness(deployment: Deployment) -> None:
    deployment.run(observations(), robots(store=Store(owner="ann", ttl_days=2, freshness_days=0.5)))
    view = deployment.features.views["robots"]
    assert (view.owner, view.ttl_seconds, view.freshness_seconds) == ("ann", 172_800, 43_200)
    (source, *_) = deployment.features.services.values()
    assert source.owner == "ann"


def test_a_broken_expectation_is_said(deployment: Deployment) -> None:
    run = deployment.run(observations(), trained=False)
    write = deployment.features.write

    def lower(view: str, rows: bytes, run: str = "") -> Any:
        deployment.features.views[view].fields[0].maximum = 5.0
        return write(view, rows, run)

    deployment.features.write = lower  # type: ignore[method-assign]
    assert "robots:rust breaks an expectation: maximum is" in notes(deployment.resume(run), "feature_engineering")


# The code of a stage --------------------------------------------------------------------------------------------------


def extension(deployment: Deployment, name: str, operation: str) -> None:
    (deployment.state / "extensions" / f"{name}.py").write_text(FEATURE.format(name=name, operation=operation))


def test_another_feature_makes_another_view_and_leaves_the_first(deployment: Deployment) -> None:
    extension(deployment, "half_rust", "/ 2")
    first = deployment.run(observations())
    views, services = dict(deployment.features.views), dict(deployment.features.services)
    rows = {view: list(stored) for view, stored in deployment.features.rows.items()}
    extension(deployment, "more_rust", "* 3")
    second = deployment.run(observations())
    one, two = (read_json(run.path("features/store.json"))["views"] for run in (first, second))
    assert one[0] == two[0] == "robots"
    assert one[1] != two[1]
    for name, view in views.items():
        if name != "robots":
            assert deployment.features.views[name] == view
        assert deployment.features.rows[name] == rows[name]
    assert {name: deployment.features.services[name] for name in services} == services
    assert {field.column for field in deployment.features.views[two[1]].fields} == {"half_rust", "more_rust"}


def test_the_same_code_on_other_data_is_the_same_view(deployment: Deployment) -> None:
    """Also where inputs are stored as the distance from an origin, which depends on the data."""
    spec = robots(columns=(*robots().columns, Column("epoch", "integer")))
    extension(deployment, "hour", "+ columns['epoch'] / 3600")
    for start in (1_700_000_000, 1_750_000_000):
        deployment.run(observations().with_columns(epoch=pl.Series(np.arange(ROWS) + start)), spec)
    engineered = [view for view in deployment.features.views.values() if view.kind == "engineered"]
    assert len(engineered) == 1
    assert engineered[0].fields[0].expression == '"rust" + ("epoch" / 3600)'


def test_a_view_that_is_newer_than_a_correction_does_not_change_the_training(deployment: Deployment) -> None:
    frame = one_a_day(observations())
    before = values(deployment.run(frame))
    corrected = frame.with_columns(rust=10 - pl.col("rust"))
    deployment.run(corrected)
    extension(deployment, "half_rust", "/ 2")
    run = deployment.run(corrected)
    assert values(run) == before
    assert "'half_rust' in the store is not what the model computes" in notes(run, "train")


def test_other_implementations_of_a_stage_stay_inside(deployment: Deployment) -> None:
    run = deployment.run(observations(), trained=False)
    hook = Stages(lambda: deployment.features)
    for name in graph.GRAPH:
        implementation = Other("pycaret", lambda run: {})
        assert hook(name, implementation).by == "pycaret"
    seen: list[str] = []

    def fit(run: Run) -> dict[str, Any]:
        seen.append(run.id)
        return {"fitted": 1}

    for name in UNTIL_TRAIN:
        other = Other("pycaret", fit) if name == "train" else None
        summary = graph.run_stage(name, run, None, other=other, hook=hook)
    assert seen == [run.id]
    assert summary["fitted"] == 1
    assert run.records()["train"].by == "pycaret"


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["feature_engineering", "train"])
def test_a_run_continues_when_the_store_is_back(stage: str, deployment: Deployment) -> None:
    run = deployment.run(observations(), trained=False)
    hook = Stages(lambda: deployment.features)
    for name in UNTIL_TRAIN:
        deployment.features.away = name == stage
        other = Other("", lambda run: {}) if name == "train" else None
        if not deployment.features.away:
            graph.run_stage(name, run, None, other=other, hook=hook)
            continue
        with pytest.raises(PantheonError) as caught:
            graph.run_stage(name, run, None, other=other, hook=hook)
        assert "the feature store at http://feast:6568 does not answer: Connection refused" in caught.value.cause
        assert f"run --resume {run.id}" in caught.value.cure
        assert "bin/pantheon status" in caught.value.cure
        assert run.records()[name].state == "failed"
        break
    deployment.features.away = False
    assert not run.path("features/store.json").exists()
    deployment.resume(run)
    assert run.path("features/store.json").exists()


def test_a_deployment_stands_if_its_features_cannot_be_brought_online(deployment: Deployment) -> None:
    run = deployment.run(observations())
    promoted = Other("", lambda run, store: {"decision": "promoted"})
    hook = Stages(lambda: deployment.features)
    deployment.features.away = True
    graph.run_stage("deploy", run, None, other=promoted, hook=hook)
    assert run.records()["deploy"].state == "done"
    assert "the model is deployed, but its newest features are not online yet" in notes(run, "deploy")
    deployment.features.away = False
    graph.run_stage("deploy", run, None, other=promoted, hook=hook)
    assert deployment.features.online == ["robots"]
    assert not run.records()["deploy"].notes


def test_a_refused_model_brings_nothing_online(deployment: Deployment) -> None:
    run = deployment.run(observations())
    refused = Other("", lambda run, store: {"decision": "refused"})
    graph.run_stage("deploy", run, None, other=refused, hook=Stages(lambda: deployment.features))
    assert deployment.features.online == []


def test_a_stage_repeated_without_the_store_leaves_no_trace_of_it(deployment: Deployment) -> None:
    from pantheon.workflow.bundle.write import stored_features

    run = deployment.run(observations())
    assert stored_features(run) == read_json(run.path("features/store.json"))
    assert ModelFeatures(**read_json(run.path("features/store.json"))).service in deployment.features.services
    graph.run_stage("train", run, None)
    assert stored_features(run) is None


def test_a_repository_repeats_stages_without_the_store(deployment: Deployment, tmp_path: Path) -> None:
    """Stages of ``dvc repro`` read what the run recorded: also values that the file has corrected since."""
    extension(deployment, "half_rust", "/ 2")
    frame = one_a_day(observations())
    deployment.run(frame)
    run = deployment.run(frame.with_columns(rust=10 - pl.col("rust")))
    folder = tmp_path / "repository"
    contents.outputs(run, folder)
    for name, content in contents.texts(run, folder).items():
        files.write_bytes(folder / name, content)
    deployment.features.away = True
    repository = Workspace(folder)
    assert repository.by == {}  # no stage is refused because something else ran it
    recorded = {path: (folder / path).read_bytes() for path in ("features/engineered.json", "features/train.npz")}
    for name in ("feature_engineering", "feature_selection", "train"):
        repository.repeat(name)
    assert {path: (folder / path).read_bytes() for path in recorded} == recorded
    assert not (folder / "features/store.json").exists()


def answer(**columns: list[Any]) -> bytes:
    file = BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize("name", ["robots:rust", "robots__rust", "rust"])
def test_the_order_of_an_answer_does_not_matter(name: str) -> None:
    found = training.answered(answer(**{"row_id": [2, 0, 1], name: [3.0, 1.0, 2.0]}), 3, {"Rust": "robots:rust"})
    assert found.to_dict(as_series=False) == {"Rust": [1.0, 2.0, 3.0]}


def test_an_answer_that_is_not_complete_is_an_error() -> None:
    with pytest.raises(PantheonError, match="returned 2 rows, not the 3"):
        training.answered(answer(row_id=[0, 1], rust=[1.0, 2.0]), 3, {"Rust": "robots:rust"})
    with pytest.raises(PantheonError, match="returned no robots:rust"):
        training.answered(answer(row_id=[0], other=[1.0]), 1, {"Rust": "robots:rust"})
    with pytest.raises(PantheonError, match="has 'rust' as String, and the data as Float64"):
        computing.as_cleaned(pl.Series("rust", ["much"]), pl.Float64())
