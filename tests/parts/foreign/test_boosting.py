"""Models of XGBoost and LightGBM, alone and in a Pipeline: converted by the real converters, they answer as before."""

import json
from pathlib import Path

import pytest

from serving.external.publish import publish
from tests.parts.foreign.answers import check_answers, hand_over, refusal, rows_and_answers
from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.endpoint import endpoint

pytestmark = pytest.mark.timeout(600)  # the first test may make the environment
GOOD = {
    "xgboost json": "XGBoost",
    "xgboost ubj of three classes": "XGBoost",
    "xgboost json of a number": "XGBoost",
    "xgboost booster": "XGBoost",
    "xgboost pickle": "XGBoost",
    "xgboost booster in a pickle": "XGBoost",
    "lightgbm text": "LightGBM",
    "lightgbm text of three classes": "LightGBM",
    "lightgbm text of a number": "LightGBM",
    "lightgbm compressed pickle": "LightGBM",
    "pipeline with xgboost": "scikit-learn",
    "pipeline over a table with lightgbm": "scikit-learn",
    "xgboost calibrated by scikit-learn": "scikit-learn",
}
BAD = {
    "a ranker": "ranks rows",
    "dart": "the booster gbtree, not dart",
    "categories": "splits by categories",
    "own objective of xgboost": "its objective is a function of its author",
    "own objective of lightgbm": "its objective is a function of its author",
    "mape": "objective: 'mape'",
    "not xgboost": "is not a model that XGBoost",
    "no probabilities": "Pipeline that ends with SVC has no probabilities",
}


@pytest.mark.parametrize("name", GOOD)
def test_it_answers_as_the_original(boosting: Path, tmp_path: Path, name: str) -> None:
    checked, predictor = check_answers(boosting / name, tmp_path)
    assert f"ONNX and {GOOD[name]} agree" in checked
    names = [each["name"] for each in predictor.signature.raw["inputs"]]
    assert names == (["age", "net income", "rest"] if "booster" in name else names)
    assert json.loads((boosting / name / "found.json").read_text())["packages"]["onnx"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("xgboost", "names"),
        ("lightgbm", "probabilities as a matrix instead of maps; the index of the class instead of its text"),
        ("lightgbm of three", "probabilities as a matrix instead of maps"),
        ("lightgbm number", "names"),
    ],
)
def test_onnx_as_the_converters_write_it_by_default(boosting: Path, tmp_path: Path, name: str, change: str) -> None:
    checked, _ = check_answers(boosting / f"export of {name}", tmp_path)
    assert f"adapted ({change})" in checked


def test_the_endpoint_answers_for_them(boosting: Path, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "deployment")
    deployment.publish(bundle(tmp_path / "bundle"))
    models = {"trees": "xgboost json", "table": "pipeline over a table with lightgbm"}
    for model, name in models.items():
        hand_over(boosting / name, tmp_path / model)
        publish(deployment.store, tmp_path / model, model, "champion", by="ada", note="", file=name)
    with endpoint(deployment) as (_, client):
        for model, name in models.items():
            inputs = client.get(f"/signature?model={model}").json["inputs"]
            rows, answers = rows_and_answers(boosting / name, inputs)
            answer = client.post(f"/v1/models/{model}:predict", {"instances": rows[:50]})
            assert answer.json["predictions"] == answers[:50]


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_converted_is_said_in_words(boosting: Path, name: str) -> None:
    cause, cure = refusal(boosting / name)
    assert BAD[name] in cause
    assert cure
