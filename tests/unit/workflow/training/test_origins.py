"""Numbers and times that float32 cannot tell apart get an origin; all that is shown are original values."""

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.files import read_json
from pantheon.workflow.bundle.agreement import agreement
from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.bundle.write import signature
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.expressions import evaluate
from pantheon.workflow.outputs import Input, Preprocessed
from pantheon.workflow.run import Run
from pantheon.workflow.stages.model_comparison import Comparer
from pantheon.workflow.stages.train import join
from pantheon.workflow.training.candidates import BUILT_IN, Prepared, fit
from pantheon.workflow.training.matrix import Table, load_spec, to_table
from pantheon.workflow.training.metrics import roc_auc
from pantheon.workflow.training.origins import in_originals, original, origins, origins_of
from pantheon.workflow.training.signature import signature_inputs
from serving.model.signature import Signature
from tests.support.training import MakeRun, extend, stages

NOON = datetime(2024, 5, 1, 12)
RANDOM = np.random.default_rng(0)
SECONDS = RANDOM.integers(0, 86_400 * 5, 200).tolist()
EPOCH = {"integer": [1_700_000_000 + second for second in SECONDS]}
FRACTIONS = {"number": [1e9 + second / 1000 for second in SECONDS]}
TIMES = {"date": [NOON + timedelta(seconds=second) for second in SECONDS]}
PLAIN: dict[str, dict[str, Any]] = {
    "small whole numbers": {"integer": SECONDS},
    "counters over all sizes": {"integer": [int(n) for n in RANDOM.lognormal(15, 3, 200)]},
    "kelvin": {"number": RANDOM.normal(290, 10, 200).round(4).tolist()},
    "fractions": {"number": RANDOM.random(200).tolist()},
    "pascal": {"number": RANDOM.normal(101_325, 800, 200).round(1).tolist()},
    "half days": {"date": [NOON + timedelta(hours=12 * second) for second in range(200)]},
    "all missing": {"number": [None] * 200},
}


def spec_of(values: dict[str, Any]) -> Spec:
    (kind,) = values
    form = "%Y-%m-%dT%H:%M:%S" if kind == "date" else ""
    columns = (Column("x", kind, nullable=True, format=form), Column("y", "number", role="target"))
    return Spec("d", "regression", Source(path="d.csv"), Target("y"), columns)


def frame_of(values: dict[str, Any]) -> pl.DataFrame:
    ((kind, entries),) = values.items()
    type_ = {"integer": pl.Int64(), "number": pl.Float64(), "date": pl.Datetime("us")}[kind]
    return pl.DataFrame({"x": pl.Series(entries, dtype=type_), "y": np.arange(len(entries), dtype=float)})


def trained(values: dict[str, Any]) -> tuple[np.ndarray[Any, Any], Input]:
    """Return the column of the matrix, and its input in the signature."""
    spec, frame = spec_of(values), frame_of(values)
    found = origins(frame, spec)
    table = to_table(frame, spec, origins=found)
    return table.X[:, 0], signature_inputs(spec, table, found)[0]


def served(entry: Input, values: list[Any]) -> list[float]:
    """Return what the server makes of JSON values, row by row; columns of many rows give the same."""
    output: Any = {"name": "y", "type": "number"}
    raw = {"format": 2, "task": "regression", "inputs": [entry], "output": output}
    server = Signature(json.loads(json.dumps(raw)))
    rows = [{"x": value} for value in values]
    one_by_one = [float(server.encode([row])[0, 0]) for row in rows]
    np.testing.assert_array_equal(server.encode(rows)[:, 0], np.array(one_by_one, np.float32))
    return one_by_one


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize("values", [EPOCH, FRACTIONS, TIMES], ids=["epoch", "fractions", "times"])
def test_every_value_is_told_apart_in_the_matrix_and_in_serving(values: dict[str, Any]) -> None:
    ((kind, entries),) = values.items()
    column, entry = trained(values)
    assert len(np.unique(column)) == len(set(entries))
    np.testing.assert_array_equal(served(entry, [as_json(value) for value in entries]), column)
    if kind != "date":
        np.testing.assert_allclose(original(column, entry), entries, rtol=0, atol=1e-2)
        assert entry["seen"] == pytest.approx([min(entries), max(entries)], abs=1e-2)
        assert entry["example"] in entries or kind == "number"
    else:
        assert entry["seen"] == [f"{moment:%Y-%m-%dT%H:%M}" for moment in (min(entries), max(entries))]


@pytest.mark.parametrize("name", PLAIN)
def test_other_columns_have_no_origin(name: str) -> None:
    column, entry = trained(PLAIN[name])
    assert "origin" not in entry
    ((kind, entries),) = PLAIN[name].items()
    if kind != "date":
        np.testing.assert_array_equal(column, np.array(entries, np.float64).astype(np.float32))


def test_an_outlier_does_not_hide_that_an_origin_is_needed() -> None:
    column, _ = trained({"integer": [0, *EPOCH["integer"]]})
    assert len(np.unique(column)) == len({0, *EPOCH["integer"]})


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 31)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


@given(
    st.one_of(
        st.lists(st.integers(1_700_000_000, 1_700_100_000), min_size=3).map(lambda values: {"integer": values}),
        st.lists(st.integers(-(2**53), 2**53), min_size=3).map(lambda values: {"integer": values}),
        st.lists(st.floats(-1e12, 1e12), min_size=3).map(lambda values: {"number": values}),
        st.lists(st.floats(1e9, 1e9 + 10), min_size=3).map(lambda values: {"number": values}),
        st.lists(MOMENTS, min_size=3).map(lambda values: {"date": values}),
    )
)
@settings(max_examples=40)
def test_serving_encodes_every_value_as_training_does(values: dict[str, Any]) -> None:
    ((_, entries),) = values.items()
    column, entry = trained(values)
    np.testing.assert_array_equal(served(entry, [as_json(value) for value in entries]), column)


def test_expressions_are_of_original_values() -> None:
    tree = ["floor", ["div", ["column", "t"], ["column", "u"]]]
    assert in_originals(tree, {"t": 7.0}) == ["floor", ["div", ["add", ["column", "t"], ["number", 7.0]], tree[1][2]]]


def test_a_server_that_knows_no_origins_refuses_the_signature() -> None:
    with_origin, without = trained(EPOCH)[1], trained(PLAIN["kelvin"])[1]
    assert signature(spec_of(EPOCH), [without])["format"] == 1
    assert signature(spec_of(EPOCH), [with_origin])["format"] == 2


def late_run(make_run: MakeRun, shift: int = 0, state: str = "state") -> Run:
    """Return a run of moments of one week, of which those in the last quarter of each hour are late."""
    rows = 400
    seconds = np.random.default_rng(1).integers(0, 7 * 86_400, rows) + shift
    frame = pl.DataFrame(
        {
            "t": 1_700_000_000 + seconds,
            "when": pl.Series([NOON + timedelta(seconds=int(second)) for second in seconds], dtype=pl.Datetime("ms")),
            "late": seconds % 3600 >= 2700,
        }
    )
    form = "%Y-%m-%dT%H:%M:%S"
    columns = (Column("t", "integer"), Column("when", "date", format=form), Column("late", "boolean", role="target"))
    spec = Spec("late", "classification", Source(path="late.csv"), Target("late", (False, True)), columns)
    return make_run(spec, frame.with_columns(pl.col("late").cast(pl.Int32)), state=state)


QUARTER = """
from pantheon.workflow.expressions import floor
from pantheon.workflow.extensions import feature

@feature("second_of_the_hour")
def second(columns):
    return columns["t"] - floor(columns["t"] / 3600) * 3600
"""


def test_features_and_the_exported_model_are_of_original_values(make_run: MakeRun) -> None:
    run = late_run(make_run)
    extend(run, quarter=QUARTER)
    stages(run, "preprocess", "feature_engineering", "feature_selection")
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    test = Table.load(run.path("features/test.npz"))
    places = {entry["name"]: test.X[:, place] for place, entry in enumerate(inputs)}
    frame = pl.read_parquet(run.path("data/test.parquet"))
    features = {
        feature["name"]: feature["expression"]
        for feature in read_json(run.path("features/engineered.json"))["features"]
    }
    np.testing.assert_array_equal(evaluate(features["second_of_the_hour"], places), frame["t"].to_numpy() % 3600)
    weekday = evaluate(features["when:weekday"], places)
    np.testing.assert_array_equal(weekday, frame["when"].dt.weekday().to_numpy() - 1)
    design = join(run)
    train = Table.load(run.path("features/train.npz"))
    boosting = BUILT_IN["classification"][3]
    model = fit(boosting, {}, Prepared.fit(design, train, 0), 0)
    found = agreement(export(model), test.X, model.predict(test.X))
    assert (found.labels_differ, found.off) == (0, 0)
    assert roc_auc(test.y == 1, model.predict(test.X)[:, 1]) > 0.95


def test_a_deployed_model_with_other_origins_gets_the_distances_from_them(make_run: MakeRun) -> None:
    before, now = late_run(make_run), late_run(make_run, 3_000_000, state="now")
    for run in (before, now):
        stages(run, "preprocess")
        run.path("evaluation").mkdir()
        np.savez(run.path("evaluation/test.npz"), y=np.zeros(1))
    spec = load_spec(before)
    old, new = (run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"] for run in (before, now))
    assert origins_of(old) != origins_of(new)
    X, why = Comparer(now)._as_inputs_of(signature(spec, old))
    assert why == ""
    wanted = to_table(pl.read_parquet(now.path("data/test.parquet")), spec, origins=origins_of(old))
    np.testing.assert_array_equal(X, wanted.X)
