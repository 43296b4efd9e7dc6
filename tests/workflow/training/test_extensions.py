"""A user's own estimators and features: one small file of theirs, none of ours edited."""

from pathlib import Path

import numpy as np
import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from pantheon.workflow import extensions
from pantheon.workflow.agreement import ask, session
from pantheon.workflow.matrix import Table
from pantheon.workflow.run import Params, Run, read_json

from .conftest import TRAINING, MakeRun, everything, stages

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


def extend(run: Run, **files: str) -> None:
    (run.state / "extensions").mkdir(exist_ok=True)
    for name, text in files.items():
        (run.state / "extensions" / f"{name}.py").write_text(text)


@pytest.mark.slow
def test_a_users_estimator_competes_and_is_tuned(make_run: MakeRun) -> None:
    run = make_run(params=Params(trials=2, folds=2))
    extend(run, mine=CANDIDATE)
    stages(run, *TRAINING, "performance_metrics")
    assert "extra_trees" in {entry["name"] for entry in read_json(run.path("selection.json"))["ranking"]}
    trials = read_json(run.path("tuning.json"))["families"]["extra_trees"]["trials"]
    assert len(trials) == 2
    assert set(trials[0]["params"]) == {"max_depth", "criterion"}


@pytest.mark.slow
def test_a_users_feature_is_in_the_served_graph_and_their_file_is_not_needed(
    make_run: MakeRun, store: FolderStore
) -> None:
    run = make_run()
    extend(run, mine=FEATURE)
    outcome = everything(run, store)
    features = {f["name"]: f for f in read_json(run.path("features/engineered.json"))["features"]}
    assert features["starts_per_year"]["of"] == ["age", "battery", "starts"]
    assert list(read_json(run.path("bundle/lineage.json"))["code"]["extensions"]) == ["mine.py"]
    (run.state / "extensions" / "mine.py").unlink()
    folder = store.get("machines", outcome["version"])
    answer = ask(session(folder / "model.onnx"), Table.load(run.path("features/test.npz")).X)
    with np.load(run.path("evaluation/test.npz")) as file:
        np.testing.assert_allclose(answer, file["chosen"], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_like_this\n", r"mine\.py, line 1: ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("x = 1\nthis is no python\n", r"mine\.py, line 2: SyntaxError"),
        (CANDIDATE.replace("(3, 8)", "8"), r"mine\.py, line 5: ValueError: space\['max_depth'\] is \(low, high\)"),
        (CANDIDATE.replace('"extra_trees"', '"linear"'), r"mine\.py, line 5: .*'linear' is the name of a candidate"),
        (CANDIDATE.replace('"classification"', '"clustering"'), r"mine\.py, line 5: .*not 'clustering'"),
        (CANDIDATE + CANDIDATE, r"mine\.py, line 1[0-9]: .*'extra_trees' is registered twice"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(PantheonError, match=words):
        extensions.load(tmp_path)


def test_two_files_cannot_claim_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CANDIDATE)
    (tmp_path / "b.py").write_text(CANDIDATE)
    with pytest.raises(PantheonError, match=r"b\.py registers 'extra_trees', which .*a\.py does too"):
        extensions.load(tmp_path)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CANDIDATE)
    assert list(extensions.load(tmp_path).candidates) == ["extra_trees"]
    (tmp_path / "mine.py").write_text(CANDIDATE.replace('"extra_trees"', '"other"'))
    assert list(extensions.load(tmp_path).candidates) == ["other"]


def test_no_folder_is_no_extensions(tmp_path: Path) -> None:
    assert extensions.load(tmp_path / "none") == extensions.Extensions()


def test_a_feature_of_a_column_that_is_not_there_names_the_line(make_run: MakeRun) -> None:
    run = make_run()
    extend(run, mine=FEATURE.replace('"starts"', '"startz"'))
    stages(run, "preprocess")
    with pytest.raises(PantheonError, match=r"mine\.py, line 7: the feature 'starts_per_year' fails.*nearest: starts"):
        stages(run, "feature_engineering")
    assert not run.path("features/engineered.json").exists()


def test_an_estimator_that_has_no_onnx_form_is_found_before_tuning(make_run: MakeRun) -> None:
    run = make_run()
    text = CANDIDATE.replace("sklearn.ensemble", "sklearn.dummy").replace("ExtraTreesClassifier", "DummyClassifier")
    text = text.replace("(20, max_depth=max_depth, random_state=seed, **params)", "()")
    extend(run, mine=text)
    with pytest.raises(
        PantheonError, match=r"mine\.py: the candidate 'extra_trees' cannot be served: DummyClassifier has no"
    ):
        stages(run, *TRAINING[:4])


def test_an_estimator_without_probabilities_names_the_file(make_run: MakeRun) -> None:
    run = make_run()
    text = CANDIDATE.replace("sklearn.ensemble", "sklearn.linear_model").replace(
        "ExtraTreesClassifier", "RidgeClassifier"
    )
    extend(run, mine=text.replace("(20, max_depth=max_depth, random_state=seed, **params)", "()"))
    with pytest.raises(PantheonError, match=r"mine\.py: .*RidgeClassifier has no predict_proba"):
        stages(run, *TRAINING[:4])


def test_an_estimator_that_cannot_be_built_names_the_line(make_run: MakeRun) -> None:
    run = make_run()
    extend(run, mine=CANDIDATE.replace("random_state=seed", "no_such_setting=seed"))
    with pytest.raises(
        PantheonError, match=r"mine\.py, line 7: the candidate 'extra_trees' cannot be built.*no_such_setting"
    ):
        stages(run, *TRAINING[:4])
