"""User-defined estimators and features in a file of the user."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.workflow import extensions
from tests.support.training import CANDIDATE, FEATURE, TRAINING, MakeRun, extend, stages


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_like_this\n", r"mine\.py, line 1: ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("x = 1\nthis is no python\n", r"mine\.py, line 2: SyntaxError"),
        (CANDIDATE.replace("(3, 8)", "8"), r"mine\.py, line 5: ValueError: space\['max_depth'\] must be \(low, high\)"),
        (CANDIDATE.replace('"extra_trees"', '"linear"'), r"mine\.py, line 5: .*'linear' is the name of a built-in"),
        (CANDIDATE.replace('"classification"', '"clustering"'), r"mine\.py, line 5: .*not 'clustering'"),
        (CANDIDATE + CANDIDATE, r"mine\.py, line 1[0-9]: .*'extra_trees' is registered twice"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(PantheonError, match=words):
        extensions.load(tmp_path)


def test_two_files_cannot_register_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CANDIDATE)
    (tmp_path / "b.py").write_text(CANDIDATE)
    with pytest.raises(PantheonError, match=r"b\.py and .*a\.py both register 'extra_trees'"):
        extensions.load(tmp_path)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CANDIDATE)
    assert list(extensions.load(tmp_path).candidates) == ["extra_trees"]
    (tmp_path / "mine.py").write_text(CANDIDATE.replace('"extra_trees"', '"other"'))
    assert list(extensions.load(tmp_path).candidates) == ["other"]


def test_without_a_folder_there_are_no_extensions(tmp_path: Path) -> None:
    assert extensions.load(tmp_path / "none") == extensions.Extensions()


def test_a_feature_of_a_missing_column_names_the_line(make_run: MakeRun) -> None:
    run = make_run()
    extend(run, mine=FEATURE.replace('"starts"', '"startz"'))
    stages(run, "preprocess")
    with pytest.raises(PantheonError, match=r"mine\.py, line 7: the feature 'starts_per_year' fails.*columns: starts"):
        stages(run, "feature_engineering")
    assert not run.path("features/engineered.json").exists()


def test_an_estimator_without_onnx_support_fails_before_tuning(make_run: MakeRun) -> None:
    run = make_run()
    text = CANDIDATE.replace("sklearn.ensemble", "sklearn.dummy").replace("ExtraTreesClassifier", "DummyClassifier")
    text = text.replace("(20, max_depth=max_depth, random_state=seed, **params)", "()")
    extend(run, mine=text)
    with pytest.raises(
        PantheonError, match=r"mine\.py: the candidate 'extra_trees' cannot be served: DummyClassifier cannot be"
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
