"""What PyCaret makes of other data and other choices, by its functions in its own environment."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pantheon.files import read_json
from pantheon.store.folder import FolderStore
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.run import Run
from pantheon.workflow.stages.deploy import deploy
from pantheon.workflow.training.matrix import Table
from tests.support import ROOT

pytestmark = pytest.mark.slow

INSIDE = Path(__file__).parent / "inside" / "runs.py"
ROBOTS = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 1500")
DIABETES = (ROOT / "datasets" / "diabetes.toml").read_text()
FORMS = {"normalize": False, "feature_selection": True, "remove_outliers": True}
ASKED: dict[str, dict[str, Any]] = {
    "no ONNX form": {"spec": ROBOTS, "trials": 1, "include": ["lda", "dt", "ridge"]},
    "none": {"spec": ROBOTS, "trials": 1, "include": ["lda"]},
    "number": {"spec": DIABETES, "trials": 3, "include": ["br", "kr", "gbr"], "setup": FORMS},
    "again": {"spec": DIABETES, "trials": 3, "include": ["br", "kr", "gbr"], "setup": FORMS, "stored": True},
    "no such": {"spec": DIABETES, "trials": 1, "include": ["lightgbm"]},
}


@pytest.fixture(scope="module")
def runs(environment: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Run, str]]:
    state = tmp_path_factory.mktemp("state")
    (state / "state").mkdir()
    given = {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(state)}
    command = [environment, "-P", str(INSIDE), json.dumps(list(ASKED.values()))]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: (Run(Path(folder)), error) for name, (folder, error) in zip(ASKED, found, strict=True)}


def test_the_best_that_can_be_served_is_served_and_the_better_one_is_named(runs: dict[str, tuple[Run, str]]) -> None:
    run, error = runs["no ONNX form"]
    assert not error
    chosen = read_json(run.path("evaluation/chosen.json"))
    best = read_json(run.path("selection.json"))["ranking"][0]
    assert best["name"] == "Linear Discriminant Analysis"
    assert chosen["name"] == "Decision Tree Classifier"
    ((refused),) = chosen["pycaret"]["not_served"]
    assert (refused["name"], refused["mean"]) == (best["name"], best["mean"])
    assert "the ONNX model predicts another class" in refused["why"] or "is off by more than" in refused["why"]
    outcome = deploy(run, FolderStore(run.state / "models"))
    assert outcome["decision"] == "promoted"
    assert f"PyCaret ranked {best['name']} higher" in outcome["reason"]
    assert "is not served" in run.path("bundle/card.md").read_text()


def test_who_does_not_take_part_is_named(runs: dict[str, tuple[Run, str]]) -> None:
    models = {
        model["id"]: model for model in read_json(runs["no ONNX form"][0].path("candidates/pycaret.json"))["models"]
    }
    assert models["ridge"]["why"] == "it has no probabilities"
    assert "slow" in models["gpc"]["why"]


def test_where_none_can_be_served_the_run_says_so(runs: dict[str, tuple[Run, str]]) -> None:
    run, error = runs["none"]
    assert "none of PyCaret's models can be served as ONNX. Linear Discriminant Analysis: " in error
    assert run.records()["evaluate"].state == "failed"


def test_numbers_are_predicted_and_the_graph_has_all_that_pycaret_did(runs: dict[str, tuple[Run, str]]) -> None:
    run, error = runs["number"]
    assert not error
    setup = read_json(run.path("pycaret/setup.json"))
    assert len(setup["columns"]) == 5  # half of the columns
    assert setup["compared_on"] < 0.9 * setup["rows"]
    with np.load(run.path("evaluation/test.npz")) as file:
        theirs, y = file["chosen"], file["y"]
    ours = predict(session(run.path("evaluation/chosen.onnx")), Table.load(run.path("features/test.npz")).X)
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.sqrt(np.mean((theirs - y) ** 2)) < 0.8 * np.std(y)
    assert deploy(run, FolderStore(run.state / "models"))["decision"] == "promoted"


def test_the_same_seed_gives_the_same_model_with_and_without_a_feature_store(runs: dict[str, tuple[Run, str]]) -> None:
    one, two = runs["number"][0], runs["again"][0]
    assert not one.path("features/store.json").exists()
    assert read_json(two.path("features/store.json"))["views"] == ["diabetes"]
    for name in ("selection.json", "tuning.json", "pycaret/setup.json"):
        assert read_json(one.path(name)) == read_json(two.path(name)), name
    with np.load(one.path("evaluation/test.npz")) as first, np.load(two.path("evaluation/test.npz")) as second:
        assert sorted(first.files) == sorted(second.files)
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])


def test_a_model_that_pycaret_does_not_have_is_named_with_those_it_has(runs: dict[str, tuple[Run, str]]) -> None:
    assert "PyCaret has no model 'lightgbm'. It has: lr, lasso, ridge," in runs["no such"][1]
