"""User-defined estimators and features in a file of the user."""

import numpy as np

from pantheon.files import read_json
from pantheon.store import FolderStore
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.run import Params
from pantheon.workflow.training.matrix import Table
from tests.support.training import CANDIDATE, FEATURE, TRAINING, MakeRun, everything, extend, stages


def test_a_users_estimator_competes_and_is_tuned(make_run: MakeRun) -> None:
    run = make_run(params=Params(trials=2, folds=2))
    extend(run, mine=CANDIDATE)
    stages(run, *TRAINING, "performance_metrics")
    assert "extra_trees" in {entry["name"] for entry in read_json(run.path("selection.json"))["ranking"]}
    trials = read_json(run.path("tuning.json"))["families"]["extra_trees"]["trials"]
    assert len(trials) == 2
    assert set(trials[0]["params"]) == {"max_depth", "criterion"}


def test_a_users_feature_is_in_the_served_graph_without_the_file(make_run: MakeRun, store: FolderStore) -> None:
    run = make_run()
    extend(run, mine=FEATURE)
    outcome = everything(run, store)
    features = {f["name"]: f for f in read_json(run.path("features/engineered.json"))["features"]}
    assert features["starts_per_year"]["of"] == ["age", "battery", "starts"]
    assert list(read_json(run.path("bundle/lineage.json"))["code"]["extensions"]) == ["mine.py"]
    (run.state / "extensions" / "mine.py").unlink()
    folder = store.get("machines", outcome["version"])
    answer = predict(session(folder / "model.onnx"), Table.load(run.path("features/test.npz")).X)
    with np.load(run.path("evaluation/test.npz")) as file:
        np.testing.assert_allclose(answer, file["chosen"], atol=1e-4)
