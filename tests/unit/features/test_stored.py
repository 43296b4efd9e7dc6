"""Columns of a dataset that are features of another one, read from the feature store as they were known."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.workflow import graph
from pantheon.workflow.data.merge import merged
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Store, Target
from pantheon.workflow.data.spec_file import dump_spec, parse_spec
from pantheon.workflow.run import Run
from tests.support.feature_runs import Deployment
from tests.unit.features.test_stages import DAY, FEATURE, notes, observations, one_a_day, robots

ROWS = 90
RUST = Column("robot's rust", "number", nullable=True, max_missing=1.0, stored="robots:rust")


def repairs(*stored: Column, **changes: Any) -> Spec:
    """Repairs of robots: how long does one take?"""
    columns = (
        Column("robot-id", "integer", "entity"),
        Column("begun", "date", "time"),
        Column("parts", "integer"),
        *(stored or (RUST,)),
        Column("again", "boolean", "target"),
    )
    given = {"columns": columns, "split": Split("hash", "robot-id"), **changes}
    target = Target("again", (False, True))
    return Spec("repairs", "classification", Source("file", path="repairs.csv"), target, **given)


def table(seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "robot-id": np.arange(ROWS) % 45,
            "begun": [DAY + timedelta(days=int(n)) for n in random.integers(0, 400, ROWS)],
            "parts": random.integers(1, 9, ROWS),
            "again": random.random(ROWS) < 0.5,
        }
    )


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path / "state", robots())


def latest(known: pl.DataFrame, column: str, frame: pl.DataFrame) -> list[float | None]:
    """The oracle: by hand, the newest value of the robot on the day that a repair begun, or before."""
    found = []
    for robot, day in frame.select("robot-id", "begun").rows():
        rows = known.filter(pl.col("robot-id") == robot, pl.col("seen") <= day).sort("seen")
        found.append(rows[column][-1] if rows.height else None)
    return found


def all_rows(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.path("data/clean.parquet"))


def test_a_feature_of_another_dataset_is_what_was_known_when_the_row_happened(deployment: Deployment) -> None:
    known = one_a_day(observations())
    first = deployment.run(known)
    views, services = dict(deployment.features.views), dict(deployment.features.services)
    frame = table()
    run = deployment.run(frame, repairs())
    expected = latest(known, "rust", frame)
    assert all_rows(run)["robot's rust"].to_list() == expected
    some = sum(value is not None for value in expected)
    assert 0 < some < ROWS
    said = "\"robot's rust\" is robots:rust of each row's 'robot-id', as it was known at each row's 'begun': "
    assert f"{said}{some} of {ROWS} rows have a value" in notes(run, "load_data")
    # It is an input of the model, which the endpoint reads from the view of the other dataset.
    entry = next(i for i in read_json(run.path("features/preprocess.json"))["inputs"] if i["name"] == RUST.name)
    assert (entry["type"], entry["nullable"]) == ("number", True)
    model = read_json(run.path("features/store.json"))
    assert model["inputs"][RUST.name] == {"view": "robots", "field": "rust", "type": "number", "ttl_seconds": 0}
    assert model["inputs"]["parts"]["view"] == "repairs"
    assert set(model["views"]) == {"repairs", "robots"}
    # The own view has only own columns; the first dataset's view, service and run stay.
    assert [field.column for field in deployment.features.views["repairs"].fields] == ["parts"]
    assert {name: deployment.features.views[name] for name in views} == views
    assert {name: deployment.features.services[name] for name in services} == services
    assert read_json(first.path("features/store.json"))["views"] == ["robots"]


def test_an_engineered_feature_of_another_dataset_is_an_input(deployment: Deployment) -> None:
    (deployment.state / "extensions" / "half.py").write_text(FEATURE.format(name="half_rust", operation="/ 2"))
    known = one_a_day(observations())
    deployment.run(known)
    view = next(name for name in deployment.features.views if name != "robots")
    (deployment.state / "extensions" / "half.py").unlink()
    column = replace(RUST, name="half", stored=f"{view}:half_rust")
    run = deployment.run(table(), repairs(column))
    expected = [None if value is None else float(np.float32(value) / 2) for value in latest(known, "rust", table())]
    assert all_rows(run)["half"].to_list() == pytest.approx(expected)
    assert read_json(run.path("features/store.json"))["inputs"]["half"]["view"] == view


def test_a_correction_that_came_later_does_not_change_what_is_read(deployment: Deployment) -> None:
    known = one_a_day(observations())
    deployment.run(known)
    deployment.run(known.with_columns(rust=10 - pl.col("rust")))
    run = deployment.run(table(), repairs())
    assert all_rows(run)["robot's rust"].to_list() == latest(known, "rust", table())


def test_a_stored_category_is_encoded_as_any_other(deployment: Deployment) -> None:
    known = one_a_day(observations())
    deployment.run(known)
    kinds = ("high", "low")
    column = Column("battery", "category", nullable=True, categories=kinds, max_missing=1, stored="robots:battery")
    run = deployment.run(table(), repairs(column))
    assert all_rows(run)["battery"].to_list() == latest(known, "battery", table())


def test_feedback_keeps_the_values_that_were_used(deployment: Deployment) -> None:
    deployment.run(one_a_day(observations()))
    mark = Column("fed", "boolean", "ignore")
    spec = repairs(RUST, mark, split=Split("hash", "robot-id", train_only="fed"))
    rows = table().with_columns(pl.lit(None, pl.Float64).alias(RUST.name), fed=pl.lit(False))
    fed = rows.head(2).with_columns(pl.lit(3.25).alias(RUST.name), pl.Series("robot-id", [-1, -2]), fed=pl.lit(True))
    run = deployment.run(pl.concat([rows, fed]), spec)
    assert all_rows(run).filter("fed")[RUST.name].to_list() == [3.25, 3.25]
    assert all_rows(run).filter(~pl.col("fed"))[RUST.name].null_count() < ROWS


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (replace(RUST, stored="nothing:rust"), "there is no view nothing"),
        (replace(RUST, stored="robots:wear"), "the view robots has no feature 'wear'. It has battery, rust"),
        (replace(RUST, type="integer"), "has the type integer, and robots:rust the type number"),
    ],
)
def test_a_wrong_reference_is_refused_with_the_column(column: Column, says: str, deployment: Deployment) -> None:
    deployment.run(observations())
    with pytest.raises(PantheonError) as caught:
        deployment.run(table(), repairs(column))
    assert says in str(caught.value)
    assert "run --resume" in caught.value.cure


def test_another_entity_is_refused(deployment: Deployment) -> None:
    deployment.run(observations())
    columns = tuple(replace(c, name="machine") if c.name == "robot-id" else c for c in repairs().columns)
    spec = repairs(columns=columns, split=Split("hash", "machine"))
    says = "robots has features of robot-id, and this dataset's entity is called machine"
    with pytest.raises(PantheonError, match=says):
        deployment.run(table().rename({"robot-id": "machine"}), spec)


def test_without_a_feature_store_the_column_is_missing(deployment: Deployment) -> None:
    run = deployment.run(table(), repairs(), trained=False)
    graph.run_stage("load_data", run, None)
    with pytest.raises(PantheonError, match="comes from the feature store") as caught:
        graph.run_stage("clean_data", run, None)
    assert "make tier-hephaestus up" in caught.value.cure


def test_a_stage_after_loading_can_be_repeated_without_the_store(deployment: Deployment) -> None:
    """As DVC does in the repository: the values are in the data that the run recorded."""
    deployment.run(one_a_day(observations()))
    run = deployment.run(table(), repairs())
    before = run.path("data/clean.parquet").read_bytes()
    graph.run_stage("clean_data", run, None)
    assert run.path("data/clean.parquet").read_bytes() == before


# The spec ---------------------------------------------------------------------------------------------------------


def test_the_spec_is_written_and_read_again() -> None:
    spec = repairs(store=Store("ann", 30.0, 1.5))
    assert parse_spec(dump_spec(spec)) == spec
    assert "[store]" not in dump_spec(repairs())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stored": "rust"}, 'must be VIEW:FEATURE, such as "robots:rust_level"'),
        ({"nullable": False}, "needs nullable = true"),
        ({"role": "ignore"}, "is for inputs of the model"),
    ],
)
def test_a_stored_column_that_cannot_be_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PantheonError) as caught:
        parse_spec(dump_spec(repairs(replace(RUST, **change))))
    assert says in caught.value.cause
    assert "columns[4].stored" in caught.value.cause


def test_a_stored_column_needs_an_entity_and_ages_are_not_negative() -> None:
    columns = tuple(c for c in repairs().columns if c.role != "entity")
    with pytest.raises(PantheonError, match='needs a column with role = "entity"'):
        parse_spec(dump_spec(repairs(columns=columns, split=Split())))
    with pytest.raises(PantheonError, match=r"store\.ttl_days must be at least 0"):
        parse_spec(dump_spec(repairs(store=Store(ttl_days=-1.0))))


def test_stored_columns_and_owner_stay_when_a_file_is_inferred_again() -> None:
    base = repairs()
    base = replace(base, columns=tuple(c for c in base.columns if not c.stored))
    mine = repairs(store=Store(owner="ann"))
    new = replace(base, columns=(Column("new", "number"), *base.columns))
    spec, kept, lost = merged(base, mine, new)
    assert spec.column(RUST.name) == RUST
    assert spec.store.owner == "ann"
    assert lost == []
    assert f"{RUST.name!r} of the feature store" in kept
