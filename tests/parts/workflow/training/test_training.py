"""From features to a deployed version: reproducible, comparable and atomic."""

import json
import re
import threading
import time
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from benchmarks import train_by_hand, training
from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.state import served
from pantheon.store import FolderStore
from pantheon.workflow import cancellation
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.run import Params, Run
from pantheon.workflow.stages.evaluate import choose
from pantheon.workflow.training import parallel
from pantheon.workflow.training.matrix import Table
from tests.support.training import (
    FEW,
    TRAINING,
    MakeRun,
    Trained,
    deployed,
    everything,
    stages,
    toy_frame,
    toy_spec,
)

MORE = Params(trials=2, folds=3)


def figures(run: Run) -> Any:
    """Return what must be equal in two runs: metrics, scores of all trials, predictions of held-out rows."""
    with np.load(run.path("evaluation/test.npz")) as file:
        answers = {name: file[name].ravel().tolist() for name in file.files}
    tuning, metrics = read_json(run.path("tuning.json")), read_json(run.path("metrics.json"))
    return {
        "metrics": metrics,
        "selection": read_json(run.path("selection.json")),
        "tuning": tuning,
        "answers": answers,
    }


def same(one: Any, two: Any, where: str = "") -> None:
    assert type(one) is type(two), where
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            same(a, b, f"{where}[{index}]")
    elif isinstance(one, float):
        assert one == pytest.approx(two, rel=1e-9, abs=1e-9), where
    else:
        assert one == two, where


def test_serial_and_parallel_runs_give_the_same_result(
    make_run: MakeRun, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_run(state="one", params=MORE), make_run(state="two", params=MORE)
    everything(one, store)
    monkeypatch.setattr(parallel, "SMALL", 0)  # two fits at once, as with many rows
    stages(two, "preprocess")
    for pair in (
        ("feature_engineering", "feature_selection"),
        ("train",),
        ("model_selection", "hyperparameter_tuning"),
    ):
        threads = [threading.Thread(target=stages, args=(two, name)) for name in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stages(two, "evaluate", "performance_metrics")
    same(figures(one), figures(two))
    for plot in one.path("plots").iterdir():
        assert plot.read_bytes() == two.path(f"plots/{plot.name}").read_bytes(), plot.name


def test_a_handwritten_script_gives_the_same_figures(bundled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_by_hand, "TRIALS", 2)
    run = bundled("robots", rows=2000, params=Params(trials=2))
    stages(run, *TRAINING, "performance_metrics")
    by_hand = train_by_hand.main(run.path("data/train.parquet"), run.path("data/test.parquet"))
    assert training.difference(run, by_hand) < 1e-9


def test_another_seed_gives_other_trials(make_run: MakeRun) -> None:
    one, two = make_run(state="one"), make_run(state="two", params=replace(FEW, seed=7))
    for run in (one, two):
        stages(run, *TRAINING[:4], "hyperparameter_tuning")
    assert read_json(one.path("tuning.json")) != read_json(two.path("tuning.json"))


@pytest.mark.parametrize(
    ("name", "metric", "at_least"),
    [("wine", "accuracy", 0.9), ("diabetes", "r2", 0.35), ("breast_cancer", "roc_auc", 0.97)],
)
def test_the_bundled_data_is_learned_and_deployed(
    name: str, metric: str, at_least: float, bundled: Any, store: Any
) -> None:
    run = bundled(name)
    outcome = everything(run, store)
    assert outcome["decision"] == "promoted", outcome
    metrics = read_json(run.path("metrics.json"))
    assert metrics["held_out"][metric] > at_least
    assert served(run.state) == name
    folder = store.get(name, outcome["version"])
    test = Table.load(run.path("features/test.npz"))
    answer = predict(session(folder / "model.onnx"), test.X)
    with np.load(run.path("evaluation/test.npz")) as file:
        np.testing.assert_allclose(answer, file["chosen"], rtol=1e-4, atol=1e-4)
    signature = read_json(folder / "signature.json")
    assert signature["name"] == name
    assert len(signature["inputs"]) == test.X.shape[1]
    if name == "wine":
        assert len(signature["output"]["classes"]) == answer.shape[1] == 3
        assert "positive" not in signature["output"]


def test_a_bundle_has_what_people_and_servers_need(trained: Trained, store: FolderStore) -> None:
    run = trained()
    outcome = deployed(run, store)
    folder = store.get("machines", outcome["version"])
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", "signature.json", "metrics.json", "card.md", "lineage.json", "reference.json"),
        *("plots", "manifest.json"),
    }
    signature = read_json(folder / "signature.json")
    assert signature["output"] == {
        "name": "broken",
        "type": "category",
        "classes": [False, True],
        "labels": {"false": "Runs", "true": "Broken"},
        "positive": True,
    }
    assert [entry["name"] for entry in signature["inputs"]][:3] == ["age", "starts", "indoors"]
    lineage = read_json(folder / "lineage.json")
    assert lineage["run"] == run.id
    assert lineage["parameters"]["seed"] == 42
    assert re.fullmatch(r"[0-9a-f]{64}", lineage["code"]["lock_sha256"])
    assert lineage["agreement"]["labels_differ"] == 0
    card = (folder / "card.md").read_text()
    for words in ("# machines", "Runs, Broken", "ROC AUC", "## Limits", run.id):
        assert words in card
    metrics = read_json(folder / "metrics.json")
    assert {entry["column"] for entry in metrics["slices"]} >= {"battery", "age"}
    assert metrics["slices"][0]["column"] == "battery", "a column marked as a slice comes first"
    assert all(entry["rows"] >= 30 for entry in metrics["slices"])
    assert sum(map(sum, metrics["confusion"])) == metrics["rows"]["test"]
    assert json.dumps(metrics, allow_nan=False)
    (version,) = store.list("machines")
    assert version.metadata["metric"]["name"] == "roc_auc"


def test_plots_are_small_svg_files_without_dates(make_run: MakeRun) -> None:
    classes, number = make_run(state="one"), make_run(_regression(), toy_frame(regression=True), state="two")
    for run in (classes, number):
        stages(run, *TRAINING, "performance_metrics")
    common = {"feature_importance.svg", "candidates.svg"}
    of_classes = {"confusion_matrix.svg", "roc.svg", "precision_recall.svg", "calibration.svg"}
    assert {path.name for path in classes.path("plots").iterdir()} == common | of_classes
    assert {path.name for path in number.path("plots").iterdir()} == common | {"predicted_actual.svg", "residuals.svg"}
    for run in (classes, number):
        for path in run.path("plots").iterdir():
            assert path.stat().st_size < 60_000, path
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
            assert "<dc:date>" not in path.read_text()


def _regression() -> Any:
    spec = toy_spec()
    columns = tuple(replace(c, type="number") if c.role == "target" else c for c in spec.columns)
    return replace(
        spec, task="regression", columns=columns, target=replace(spec.target, classes=(), labels={}, positive=None)
    )


def test_models_of_random_labels_are_refused_and_not_published(make_run: MakeRun, store: FolderStore) -> None:
    random = np.random.default_rng(3)
    frame = toy_frame().with_columns(broken=pl.Series(random.integers(0, 2, 600).astype(np.int32)))
    run = make_run(frame=frame)
    outcome = everything(run, store)
    assert outcome["decision"] == "refused"
    assert "Not better than the trivial baseline" in outcome["reason"]
    assert outcome["version"] is None
    assert store.list("machines") == []
    assert served(run.state) == ""
    assert read_json(run.path("outcome.json")) == outcome


def test_a_reached_time_limit_is_reported(make_run: MakeRun, store: FolderStore) -> None:
    run = make_run(params=replace(FEW, time_limit=0.0))
    everything(run, store)
    tuning = read_json(run.path("tuning.json"))
    assert not tuning["reproducible"]
    metrics = read_json(run.path("metrics.json"))
    assert not metrics["reproducible"]
    assert not metrics["tuned"]
    assert "Not reproducible" in run.path("bundle/card.md").read_text()


def test_tuning_uses_no_more_rows_than_requested(make_run: MakeRun) -> None:
    run = make_run(params=Params(trials=1, folds=2, tuning_rows=150))
    stages(run, *TRAINING[:5])
    assert read_json(run.path("selection.json"))["rows"] == 150


@pytest.mark.parametrize("stage", ["model_selection", "hyperparameter_tuning"])
def test_ctrl_c_leaves_no_partial_files(make_run: MakeRun, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pantheon.workflow.training import crossval

    run = make_run()
    stages(run, *TRAINING[:4])
    before = sorted(path.name for path in run.folder.rglob("*"))
    asked = []

    def pressed(*_: Any) -> float:
        asked.append(1)
        time.sleep(0.01)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return 0.5

    monkeypatch.setattr(crossval.CrossValidation, "one", pressed)
    with pytest.raises(KeyboardInterrupt):
        stages(run, stage)
    assert len(asked) < 12, "what had not begun was dropped"
    assert sorted(path.name for path in run.folder.rglob("*")) == before
    assert not cancellation.requested.is_set()
    monkeypatch.undo()
    stages(run, stage)


def test_a_stop_from_another_thread_ends_a_stage_between_fits(make_run: MakeRun) -> None:
    run = make_run()
    stages(run, *TRAINING[:4])
    cancellation.requested.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            stages(run, "hyperparameter_tuning")
    finally:
        cancellation.requested.clear()
    assert not run.path("tuning.json").exists()


def test_an_unknown_metric_is_refused_before_anything_is_fitted(make_run: MakeRun) -> None:
    run = make_run(params=replace(FEW, metric="rmse"))
    with pytest.raises(PantheonError, match=r"'rmse' is not a metric for classification\. Use one of roc_auc"):
        stages(run, *TRAINING)
    assert not run.path("candidates.json").exists()


def test_the_best_on_the_shared_folds_is_chosen_and_defaults_win_ties() -> None:
    selection = {
        "greater_is_better": True,
        "ranking": [
            {"name": "linear", "folds": [0.8, 0.8, 0.1]},
            {"name": "forest", "folds": [0.7, 0.7, 0.99]},
            {"name": "baseline", "folds": [1.0, 1.0, 1.0]},
        ],
    }
    tuning = {
        "folds": 2,
        "families": {
            "linear": {"best": {"params": {"C": 2}, "folds": [0.8, 0.8]}},
            "forest": {"best": {"params": {"depth": 2}, "folds": [0.9, 0.8]}},
        },
    }
    assert choose(selection, tuning)["params"] == {"depth": 2}
    tuning["families"]["forest"]["best"]["folds"] = [0.8, 0.8]
    result = choose(selection, tuning)
    assert (result["name"], result["tuned"]) == ("linear", False)
