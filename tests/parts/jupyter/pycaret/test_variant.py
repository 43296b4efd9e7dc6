"""The variant as a deployment runs it: four notebooks as jobs, then deployment where there is no PyCaret."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pantheon import pycaret
from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.jupyter.client import run_notebook
from pantheon.jupyter.graph import graph_of
from pantheon.state import Route
from pantheon.store.folder import FolderStore
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.graph import GRAPH, finished
from pantheon.workflow.run import Params, Run
from pantheon.workflow.training.matrix import Table
from serving.model.predictor import Predictor
from tests.support import ROOT
from tests.support.jupyter import Lab

pytestmark = pytest.mark.slow

PYCARET = graph_of(Route(rest="pycaret"))


@pytest.fixture(scope="module")
def run(lab: Lab) -> Iterator[Run]:
    made = lab.new_run()
    for name in PYCARET:
        run_notebook(lab.jupyter, name, made.id, lab.state, timeout=150)
    lab.tasks(made, "run", "--run", made.id)
    yield made


def test_it_passes_the_same_gate_and_every_stage_is_done(run: Run) -> None:
    outcome = read_json(run.path("outcome.json"))
    assert (outcome["decision"], outcome["version"]) == ("promoted", "1")
    assert "Better than the trivial baseline" in outcome["reason"]
    assert finished(run) == set(GRAPH)
    assert {name for name, stage in run.records().items() if stage.by == "pycaret"} == set(pycaret.STAGES)
    metrics = read_json(run.path("metrics.json"))
    assert metrics["held_out"]["roc_auc"] > 0.9
    assert len(metrics["candidates"]) >= 10
    assert metrics["importance"][0]["mean"] > 0.05


def test_what_is_served_needs_no_pycaret_and_answers_as_it_did(lab: Lab, run: Run) -> None:
    assert importlib.util.find_spec("pycaret") is None  # neither here nor in the environment that deployed it
    assert not list(run.folder.rglob("*.joblib")) + list(run.folder.rglob("*.pkl"))
    folder = FolderStore(lab.state / "models").get("robots", "1")
    with np.load(run.path("evaluation/test.npz")) as file:
        theirs = file["chosen"]
    X = Table.load(run.path("features/test.npz")).X
    assert np.abs(predict(session(folder / "model.onnx"), X) - theirs).max() < 1e-4
    answer = Predictor(folder, "robots", "1").predict([{"robot-age": 1, "rust-level": 9, "battery": None}])
    assert answer.prediction[0] in (0, 1)


def test_the_bundle_says_who_made_it(lab: Lab, run: Run) -> None:
    folder = FolderStore(lab.state / "models").get("robots", "1")
    lineage = read_json(folder / "lineage.json")
    assert lineage["pycaret"]["version"] == "4.0.0a8"
    assert {"Gradient Boosting Classifier", "baseline"} <= {entry["name"] for entry in lineage["pycaret"]["tried"]}
    assert lineage["agreement"]["labels_differ"] == 0
    assert lineage["agreement"]["rows"] > 1500
    assert "PyCaret 4.0.0a8 (an alpha version) prepared the features" in (folder / "card.md").read_text()


def test_a_graph_that_was_not_checked_is_not_published(run: Run) -> None:
    from pantheon.workflow.bundle.write import exported

    path = run.path("evaluation/chosen.onnx")
    right = path.read_bytes()
    try:
        path.write_bytes(right + b"\0")
        with pytest.raises(PantheonError, match="not the graph that was checked"):
            exported(run)
    finally:
        path.write_bytes(right)


def test_executed_copies_lie_with_the_run_and_show_pictures(run: Run) -> None:
    for name in PYCARET:
        cells = json.loads(run.path(f"notebooks/{name}.ipynb").read_text())["cells"]
        shown = [output for cell in cells for output in cell.get("outputs", [])]
        assert not [output for output in shown if output.get("name") == "stderr"], name
        if name != "pycaret_features":
            assert [output for output in shown if "image/png" in output.get("data", {})], name
    assert not list(run.path("notebooks").glob("*.failed.ipynb"))
    assert not list((run.state / "notebooks").glob("*.log"))


def test_the_kernel_is_there_where_its_environment_is(lab: Lab, run: Run) -> None:
    specs = lab.jupyter.get("/api/kernelspecs")
    assert specs["default"] == "pantheon"
    assert "/envs/pycaret/bin/python" in specs["kernelspecs"]["pantheon-pycaret"]["spec"]["argv"][0]


def test_another_kernel_says_what_is_missing(tmp_path: Path) -> None:
    run = Run.create(tmp_path, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params())
    with pytest.raises(PantheonError, match=r"has no PyCaret\. Choose the kernel Pantheon PyCaret"):
        pycaret.stage(run, "train")
