"""``:explain`` of protocol V1: predictions with an explanation for each row, in a thread of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.model.predictor import Predictor
from serving.problems import Problem
from tests.parts.serving.test_inference_log import answers
from tests.parts.serving.test_swap import ROW
from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.endpoint import endpoint, process

PATH = "/v1/models/robots:explain"


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Deployment:
    deployment.publish(bundle(tmp_path / "robots"))
    return deployment


def stub(predictor: Predictor, rows: list[Any], deadline: float) -> list[dict[str, Any]]:
    return [{"of": predictor.version, "features": sorted(row)} for row in rows]


def test_an_explanation_for_each_row_which_the_log_notes(served: Deployment) -> None:
    with endpoint(served, explain=stub) as (_, client):
        answer = client.post(PATH, {"instances": [ROW, ROW]})
        assert answer.json == {
            "predictions": [0, 0],
            "explanations": [{"of": "1", "features": ["robot-age"]}] * 2,
        }
        client.post("/v1/models/robots:predict", {"instances": [ROW]})
        assert client.post(PATH, {"instances": [{"robot-age": 99}]}).error["field"] == "robot-age"
        assert client.post(PATH, {"instances": [ROW] * 101}).status == 413
    records = [entry.record for entry in answers(served)]
    assert [(record.status, record.explained) for record in records] == [
        (200, True),
        (200, False),
        (422, False),
        (413, False),
    ]
    assert records[0].id == answer.headers["x-request-id"]


def test_the_service_explains_by_shapley_values(served: Deployment) -> None:
    with process(served.folder) as (_, client):
        answer = client.post(PATH, {"instances": [ROW, {"robot-age": 1}]}).json
    for each in answer["explanations"]:
        assert each["base"] + sum(f["shapley"] for f in each["features"]) == pytest.approx(each["output"])
        assert 0 < each["output"] < 1 and each["words"]


def test_too_many_rows_are_refused_before_the_model_is_asked(
    served: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(served, explain=stub) as (_, client):
        monkeypatch.setattr(Predictor, "predict", lambda *given: pytest.fail("the model was asked"))
        assert client.post(PATH, {"instances": [ROW] * 101}).status == 413


def test_a_slow_explanation_holds_up_no_prediction(served: Deployment) -> None:
    go_on = threading.Event()

    def slow(predictor: Predictor, rows: list[Any], deadline: float) -> list[dict[str, Any]]:
        assert go_on.wait(60)
        raise Problem(503, "It took too long.")

    with endpoint(served, explain=slow) as (_, client), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, PATH, {"instances": [ROW]})
        assert {client.predict(ROW).status for _ in range(20)} == {200}
        assert not waiting.done()
        go_on.set()
        assert waiting.result().error["message"] == "It took too long."
