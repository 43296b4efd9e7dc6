"""The endpoint's protocols over real HTTP: the same answers as the button, in each of them."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, with_key
from tests.support.waiting import until

BAD = {"robot-age": 5, "rust-level": "9", "battery": "low"}
GOOD = {"robot-age": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inference")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    """Two versions of the robots' model, and a regression beside it."""
    deployment = Deployment(folder / "deployment")
    deployment.publish(bundle(folder / "one"))
    deployment.publish(bundle(folder / "two", bias=-40), promote=False)
    deployment.publish(bundle(folder / "three", bias=40), promote=False)
    deployment.store.promote("robots", "2", "challenger")
    deployment.store.publish("hours", bundle(folder / "hours", ROBOTS[:1], "regression"), {})
    deployment.store.promote("hours", "1")
    with endpoint(deployment) as (_, client):
        yield client


def tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def test_the_articles_request(client: Client) -> None:
    answer = client.predict(BAD)
    assert (answer.status, answer.body) == (200, b'{"prediction":[0]}')
    assert (answer.headers["x-model-name"], answer.headers["x-model-version"]) == ("robots", "1")


def test_probabilities_and_another_model_by_the_query(client: Client) -> None:
    answer = client.predict(BAD, GOOD, query="?probabilities=1").json
    assert answer["prediction"] == [0, 1]
    assert [sum(row) for row in answer["probabilities"]] == pytest.approx([1, 1])
    assert client.predict({"robot-age": 10}, query="?model=hours").json == {"prediction": [9.0]}
    assert client.predict(BAD, query="?model=hours").error["field"] == "rust-level"
    assert client.predict(BAD, query="?model=unknown").status == 404


def test_version_1_of_the_protocol(client: Client) -> None:
    assert client.post("/v1/models/robots:predict", {"instances": [BAD, GOOD]}).json == {"predictions": [0, 1]}
    assert client.post("/v1/models/hours:predict", {"instances": [{"robot-age": 10}]}).json == {"predictions": [9.0]}
    assert client.get("/v1/models/robots").json == {"name": "robots", "ready": True}
    assert client.get("/v1/models").json == {"models": ["hours", "robots"]}
    assert client.post("/v1/models/robots:predict", {"payload": [BAD]}).error["field"] == "payload"
    assert Client(client.port).get("/").json == {"status": "alive"}


def test_version_2_answers_tensors_and_keeps_the_id(client: Client) -> None:
    inputs = [tensor("robot-age", "INT64", [5, 0]), tensor("rust-level", "FP32", [9.0, None])]
    inputs.append(tensor("battery", "BYTES", ["low", "high"]))
    answer = client.post("/v2/models/robots/infer", {"id": "mine", "inputs": inputs})
    assert answer.status == 200, answer
    assert {key: answer.json[key] for key in ("id", "model_name", "model_version")} == {
        "id": "mine",
        "model_name": "robots",
        "model_version": "1",
    }
    condition, probabilities = answer.json["outputs"]
    assert condition == {"name": "condition", "datatype": "INT64", "shape": [2], "data": [0, 1]}
    assert (probabilities["name"], probabilities["shape"]) == ("probabilities", [2, 2])
    wanted = {"inputs": inputs, "outputs": [{"name": "condition"}]}
    assert [each["name"] for each in client.post("/v2/models/robots/infer", wanted).json["outputs"]] == ["condition"]


def test_version_2_describes_servers_models_and_versions(client: Client) -> None:
    anybody = Client(client.port)
    assert anybody.get("/v2/health/live").json["live"] is True
    assert anybody.get("/v2/health/ready").json["ready"] is True
    assert client.get("/v2").json["name"] == "pantheon"
    described = client.get("/v2/models/robots").json
    assert described["versions"] == ["1", "2"]
    assert described["inputs"][0] == {"name": "robot-age", "datatype": "FP64", "shape": [-1]}
    assert client.get("/v2/models/robots/ready").json["ready"] is True
    assert client.get("/v2/models/robots/versions/2/ready").json["ready"] is True
    assert client.get("/v2/models/robots/versions/9/ready").status == 503
    assert client.get("/v2/models/nobody/ready").status == 404


def test_a_request_may_name_a_version_which_is_loaded_if_need_be(client: Client) -> None:
    infer = {"inputs": [tensor("robot-age", "FP64", [20])], "outputs": [{"name": "condition"}]}
    answers = {}
    for version in ("1", "2", "3"):
        answer = client.post(f"/v2/models/robots/versions/{version}/infer", infer)
        assert answer.headers["x-model-version"] == version
        answers[version] = answer.json["outputs"][0]["data"]
    assert answers == {"1": [0], "2": [0], "3": [1]}
    missing = client.post("/v2/models/robots/versions/7/infer", infer)
    assert (missing.status, "no version 7" in missing.json["error"]) == (404, True)


def test_signatures_and_health(client: Client) -> None:
    assert client.get("/signature").json["inputs"][0]["name"] == "robot-age"
    assert client.get("/signature?model=hours").json["task"] == "regression"
    health = Client(client.port).get("/healthz").json
    assert (health["ready"], health["default"], health["log"]["mode"]) == (True, "robots", "required")
    assert [(each["model"], each["version"], each["loaded"]) for each in health["models"]] == [
        ("hours", "1", ["1"]),
        ("robots", "1", ["1", "2"]),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/v1/models/robots:fly", 404), ("/signature?a=1&a=2", 400)],
)
def test_unknown_routes_are_json_errors(client: Client, path: str, status: int) -> None:
    assert client.get(path).status == status
    assert client.get(path).error["message"]


def test_wrong_methods_types_and_hosts_are_refused(client: Client) -> None:
    assert client.get("/predict").headers["allow"] == "POST"
    assert client.post("/predict", {"payload": [BAD]}, Content_Type="text/plain").status == 415
    assert client.get("/signature", Host="pantheon.example").status == 403
    assert client.post("/predict", {"payload": [BAD]}, Origin="http://pantheon.example").status == 403


def test_the_metrics_have_a_key_of_their_own(client: Client, folder: Path) -> None:
    assert client.get("/metrics").status == 403
    assert Client(client.port).get("/metrics").status == 401
    client.predict(BAD)
    reader = with_key(folder / "deployment", client, "prometheus", kind="metrics")
    until(lambda: reader.get("/metrics").status == 200)
    text = reader.get("/metrics").text
    assert 'pantheon_requests_total{model="robots",version="1",protocol="predict",status="200"}' in text
    assert 'pantheon_serving{model="robots",version="1"} 1.0' in text
    assert reader.predict(BAD).status == 403


def test_version_2_with_binary_tensors_and_without_a_content_type(client: Client) -> None:
    """As NVIDIA's tritonclient sends them."""
    inputs = [{"name": "robot-age", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}]
    head = json.dumps({"id": "1", "inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    binary = {"content_type": "application/octet-stream", "inference_header_content_length": str(len(head))}
    answer = client("POST", "/v2/models/robots/infer", head + struct.pack("<2d", 50.0, 0.0), **binary)
    assert answer.json["outputs"][0]["data"] == [0, 1]
    body = json.dumps({"inputs": [tensor("robot-age", "FP64", [50.0])]})
    assert client("POST", "/v2/models/robots/infer", body).json["outputs"][0]["data"] == [0]
    assert client("POST", "/predict", head, **binary).status == 400


def test_errors_of_version_2_are_texts_as_its_clients_expect(client: Client) -> None:
    refused = client.post("/v2/models/robots/infer", {"inputs": [tensor("robot-age", "FP64", [99.0])]})
    assert refused.status == 422
    assert (refused.json["row"], refused.json["field"]) == (0, "robot-age")
    assert refused.json["error"].startswith('Row 0, "robot-age": expected')
    for path in ("/v2/models/nobody", "/v2/models/robots/fly", "/v2/nothing"):
        assert isinstance(client.get(path).json["error"], str)
    assert isinstance(Client(client.port).get("/v2/models/robots").json["error"], str)


def test_explanations_are_refused_in_words(client: Client) -> None:
    answer = client.post("/v1/models/robots:explain", {"instances": [BAD]})
    assert (answer.status, "explain" in answer.error["message"]) == (501, True)
