"""preprocess, feature_engineering and feature_selection: the inputs of the models."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.run import Run
from pantheon.workflow.training.matrix import Table
from tests.support.training import MakeRun, stages, toy_frame

ALL = ("preprocess", "feature_engineering", "feature_selection")


def dropped(run: Run, name: str) -> dict[str, str]:
    return {entry["name"]: entry["why"] for entry in read_json(run.path(f"features/{name}.json"))["dropped"]}


def spec_of(*columns: Column) -> Spec:
    target = Target("y", (0, 1), positive=1)
    return Spec(
        "t", "classification", Source("file", path="t.csv"), target, (*columns, Column("y", "integer", "target"))
    )


def test_the_matrix_is_coded_as_the_signature_says(make_run: MakeRun) -> None:
    spec = spec_of(
        Column("n", "number", nullable=True),
        Column("flag", "boolean", nullable=True),
        Column("kind", "category", categories=("b", "a", "c"), nullable=True),
        Column("day", "date", nullable=True),
    )
    frame = pl.DataFrame(
        {
            "n": [1.5, None] * 15,
            "flag": [True, False, None] * 10,
            "kind": ["a", "b", "c", None, "a"] * 6,
            "day": [date(1970, 1, 2), date(2024, 3, 1), None] * 10,
            "y": pl.Series([0, 1] * 15, dtype=pl.Int32),
        }
    )
    run = make_run(spec, frame)
    stages(run, "preprocess")
    test = Table.load(run.path("features/test.npz"))
    assert test.X.dtype == np.float32
    np.testing.assert_array_equal(test.X[:3, 0], np.array([1.5, np.nan, 1.5], np.float32))
    np.testing.assert_array_equal(test.X[:3, 1], np.array([1, 0, np.nan], np.float32))
    np.testing.assert_array_equal(test.X[:3, 2], np.array([1, 0, 2], np.float32))
    np.testing.assert_array_equal(test.X[:3, 3], np.array([1, 19783, np.nan], np.float32))


def test_the_ranges_in_the_signature_come_from_the_training_part(make_run: MakeRun) -> None:
    frame = toy_frame().with_columns(
        pl.when(pl.arange(0, pl.len()) < 3).then(59.0).otherwise(pl.col("age")).alias("age")
    )
    run = make_run(frame=frame)
    stages(run, "preprocess")
    inputs = {entry["name"]: entry for entry in read_json(run.path("features/preprocess.json"))["inputs"]}
    assert inputs["age"]["seen"][1] < 41, "59 is in the held-out part alone"
    assert (inputs["age"]["min"], inputs["age"]["max"]) == (0, 60)
    assert inputs["town"]["unknown"] == "other"
    assert inputs["serviced"]["seen"][0].startswith("202")
    assert "machine" not in inputs


def test_rows_of_one_entity_have_one_group(make_run: MakeRun) -> None:
    run = make_run()
    stages(run, "preprocess")
    groups = Table.load(run.path("features/train.npz")).groups
    assert groups is not None
    assert len(np.unique(groups)) == len(groups) // 3


def test_dates_and_long_tails_become_features(make_run: MakeRun) -> None:
    run = make_run()
    stages(run, *ALL)
    features = {f["name"]: f["expression"] for f in read_json(run.path("features/engineered.json"))["features"]}
    assert set(features) == {
        *("built:weekday", "built:season", "serviced:weekday", "serviced:season"),
        *("serviced - built", "log starts"),
    }
    day = np.array([(date(2024, 3, 1) - date(1970, 1, 1)).days], np.float32)  # a Friday, two months into the year
    assert evaluate(features["built:weekday"], {"built": day})[0] == 4
    assert evaluate(features["built:season"], {"built": day})[0] == pytest.approx(60 / 365, abs=0.003)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([7.0] * 300, "same value in every row"),
        ([None] * 300, "missing in every row"),
        ([1.0] * 299 + [2.0], "differs from its most frequent value in only"),
        ([float(i % 7) * 2 + 1 for i in range(300)], "duplicates n"),
    ],
)
def test_useless_numbers_are_dropped(make_run: MakeRun, values: list[Any], reason: str) -> None:
    spec = spec_of(Column("n", "number"), Column("useless", "number", nullable=True))
    frame = pl.DataFrame(
        {
            "n": [float(i % 7) for i in range(300)],
            "useless": pl.Series(values, dtype=pl.Float64),
            "y": pl.Series([i % 2 for i in range(300)], dtype=pl.Int32),
        }
    )
    run = make_run(spec, frame)
    stages(run, *ALL)
    assert reason in dropped(run, "selected")["useless"]
    assert read_json(run.path("features/selected.json"))["columns"] == ["n"]


def test_identifiers_and_duplicate_categories_are_dropped(make_run: MakeRun) -> None:
    spec = spec_of(
        Column("kind", "category", categories=("a", "b", "c")),
        Column("art", "category", categories=("x", "y", "z")),
        Column("serial", "category", categories=tuple(f"s{i}" for i in range(300))),
    )
    kinds = [i % 3 for i in range(300)]
    frame = pl.DataFrame(
        {
            "kind": ["abc"[k] for k in kinds],
            "art": ["zxy"[k] for k in kinds],
            "serial": [f"s{i}" for i in range(300)],
            "y": pl.Series([i % 2 for i in range(300)], dtype=pl.Int32),
        }
    )
    run = make_run(spec, frame)
    stages(run, *ALL)
    assert "duplicates kind" in dropped(run, "selected")["art"]
    assert "identifier rather than a category" in dropped(run, "selected")["serial"]


def test_columns_that_matter_only_together_are_kept(make_run: MakeRun) -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=300), random.normal(size=300)
    frame = pl.DataFrame({"a": a, "b": b, "y": pl.Series((a * b > 0).astype(np.int32))})
    run = make_run(spec_of(Column("a"), Column("b")), frame)
    stages(run, *ALL)
    assert read_json(run.path("features/selected.json"))["columns"] == ["a", "b"]


def test_data_without_useful_columns_is_refused(make_run: MakeRun) -> None:
    frame = pl.DataFrame({"n": [1.0] * 60, "y": pl.Series([i % 2 for i in range(60)], dtype=pl.Int32)})
    run = make_run(spec_of(Column("n")), frame)
    with pytest.raises(PantheonError, match=r"no column is useful.*n has the same value in every row"):
        stages(run, *ALL)
    assert not run.path("features/selected.json").exists()


def test_one_class_in_the_training_part_is_refused(make_run: MakeRun) -> None:
    frame = pl.DataFrame({"n": [float(i) for i in range(60)], "y": pl.Series([1] * 60, dtype=pl.Int32)})
    run = make_run(spec_of(Column("n")), frame)
    with pytest.raises(PantheonError, match="only one class of 'y'"):
        stages(run, "preprocess")
    assert not run.path("features").exists()


def test_a_stage_called_too_early_names_the_previous_one(make_run: MakeRun) -> None:
    run = make_run()
    for name, before in [
        ("feature_engineering", "preprocess"),
        ("feature_selection", "preprocess"),
        ("train", "feature_selection"),
        ("model_selection", "train"),
        ("hyperparameter_tuning", "train"),
        ("evaluate", "model_selection"),
        ("performance_metrics", "evaluate"),
        ("model_comparison", "evaluate"),
        ("deploy", "model_comparison"),
    ]:
        with pytest.raises(PantheonError, match=f"pantheon stage {before} --run {run.id}"):
            stages(run, name)


def test_thousands_of_columns_take_seconds_and_name_the_first_of_its_kind() -> None:
    from time import perf_counter

    from pantheon.workflow.stages.feature_selection import Seen

    X = np.random.default_rng(0).normal(size=(63, 3000)).astype(np.float32)
    X[:, 2999] = 2 - 3 * X[:, 7]
    X[:, 2998] = X[:, 9]
    X[5, 2997] = np.nan
    begun, seen = perf_counter(), Seen(X)
    found = {place: same for place in range(3000) if (same := seen.same(place, False)) is not None}
    assert found == {2999: 7, 2998: 9}
    assert perf_counter() - begun < 10
