"""Requests that name entities: their features come from a real Valkey, in which they are as Feast stores them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from serving.model.explain import explain
from tests.parts.serving import test_openapi as contract
from tests.parts.serving.test_inference import tensor
from tests.parts.serving.test_inference_log import answers, logged
from tests.parts.serving.test_inference_properties import JSON, SCALARS
from tests.support.bundles import EVERY_TYPE, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.feast_bytes import INPUTS, WEEK, ago, message, with_features
from tests.support.online import Server, valkey

BAD = {"robot_age": 5.0, "rust_level": 9.0, "battery": "low"}
GOOD = {"robot_age": 0.0, "rust_level": 0.0, "battery": "high"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        server.put("7", BAD, at=ago(60))
        server.put("8", GOOD)
        server.put("old", BAD, at=ago(WEEK + 60))
        server.put("null", {"robot_age": 0.0, "rust_level": None, "battery": None})
        server.put("ageless", {"robot_age": None, "rust_level": 1.0, "battery": "low"})
        server.put("beyond", {"robot_age": 99.0, "rust_level": 1.0, "battery": "low"})
        server.put("broken", {"robot_age": b"\x2a\x03x", "rust_level": 1.0})
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, store: Server) -> Iterator[tuple[Deployment, Client]]:
    """The robots with features that expire after a week; beside them models without features and without entities."""
    folder = tmp_path_factory.mktemp("entities")
    deployment = Deployment(folder / "deployment")
    deployment.publish(with_features(bundle(folder / "robots"), ttl=WEEK))
    deployment.store.publish("plain", bundle(folder / "plain"), {})
    deployment.store.publish("alone", with_features(bundle(folder / "alone"), entity=""), {})
    for name in ("plain", "alone"):
        deployment.store.promote(name, "1")
    with endpoint(deployment, explain=explain, online=store.online()) as (_, client):
        yield deployment, client


@pytest.fixture
def client(served: tuple[Deployment, Client]) -> Client:
    return served[1]


def ask(client: Client, *rows: Any, **more: Any) -> Any:
    return client.post("/predict", {"entities": list(rows)} | more)


def test_an_entity_is_enough(client: Client) -> None:
    answer = ask(client, {"robot-id": 7}, {"robot-id": 8})
    assert (answer.status, answer.json) == (200, {"prediction": [0, 1]})
    full = client.predict({"robot-age": 5, "rust-level": 9, "battery": "low"}, query="?probabilities=1").json
    found = client.post("/predict?probabilities=1", {"entities": [{"robot-id": 7}]}).json
    assert found == full


@pytest.mark.parametrize("id", [7, "7", 7.0, " 7 ", "7.0", "007"])
def test_one_entity_however_its_id_is_written(client: Client, id: object) -> None:
    assert ask(client, {"robot-id": id}).json == {"prediction": [0]}


def test_inputs_in_the_request_win(client: Client) -> None:
    assert ask(client, {"robot-id": 7, "rust-level": 0, "robot-age": 0}).json == {"prediction": [1]}
    given = {"robot-age": 0, "rust-level": None, "battery": "high"}
    assert ask(client, {"robot-id": "nobody", **given}).json == {"prediction": [1]}, "nothing had to be looked up"


def test_version_1_with_entities_among_plain_rows(client: Client) -> None:
    path = "/v1/models/robots:predict"
    plain = {"robot-age": 0}
    assert client.post(path, {"instances": [{"robot-id": 7}, plain]}).json == {"predictions": [0, 1]}
    assert client.post(path, {"entities": [{"robot-id": 7}]}).json == {"predictions": [0]}
    assert client.post("/v1/models/robots/versions/1:predict", {"instances": [{"robot-id": 8}]}).status == 200


def test_explanations_are_of_the_stored_values(client: Client) -> None:
    found = client.post("/v1/models/robots:explain", {"entities": [{"robot-id": 7}]}).json
    full = {"robot-age": 5, "rust-level": 9, "battery": "low"}
    assert found == client.post("/v1/models/robots:explain", {"instances": [full]}).json
    assert len(found["explanations"]) == 1


@pytest.mark.parametrize("datatype", ["INT64", "FP64", "BYTES"])
def test_version_2_with_a_tensor_of_ids(client: Client, datatype: str) -> None:
    ids: list[Any] = ["7", "8"] if datatype == "BYTES" else [7, 8]
    answer = client.post("/v2/models/robots/infer", {"inputs": [tensor("robot-id", datatype, ids)]})
    assert answer.status == 200, answer
    assert answer.json["outputs"][0]["data"] == [0, 1]
    both = [tensor("robot-id", datatype, ids), tensor("robot-age", "FP32", [0, 60])]
    assert client.post("/v2/models/robots/infer", {"inputs": both}).json["outputs"][0]["data"] == [0, 0]


def test_an_unknown_entity_is_refused_with_its_row_its_id_and_the_cure(client: Client) -> None:
    error = ask(client, {"robot-id": 7}, {"robot-id": 4711}).error
    assert (error["row"], error["field"], error["got"]) == (1, "robot-id", '"4711"')
    assert 'knows no robot-id "4711"' in error["message"]
    assert "POST /push" in error["message"]
    assert '"battery"' in error["message"]


def test_expired_values_are_refused_with_their_age_and_how_long_they_count(client: Client) -> None:
    error = ask(client, {"robot-id": "old"}).error
    assert error["field"] == "robot-id"
    assert "is expired: it is 7 days old, and counts for 7 days" in error["message"]


def test_a_null_is_a_missing_value_and_the_answer_says_so(client: Client) -> None:
    answer = ask(client, {"robot-id": "null"}, {"robot-id": 8})
    assert answer.json == {"prediction": [1, 1], "missing": [["rust-level", "battery"], []]}
    assert ask(client, {"robot-id": "null", "rust-level": 1}).json["missing"] == [["battery"]]
    version_1 = client.post("/v1/models/robots:predict", {"instances": [{"robot-id": "null"}]}).json
    assert version_1 == {"predictions": [1], "missing": [["rust-level", "battery"]]}
    inputs = [tensor("robot-id", "BYTES", ["null"])]
    parameters = client.post("/v2/models/robots/infer", {"inputs": inputs}).json["parameters"]
    assert json.loads(parameters["missing"]) == [["rust-level", "battery"]]


def test_a_null_where_the_model_needs_a_value_is_refused(client: Client) -> None:
    error = ask(client, {"robot-id": "ageless"}).error
    assert (error["field"], error["got"], error["expected"]) == ("robot-age", "null", "a number from 0 to 60")
    assert 'has a null for robot-id "ageless"' in error["message"]
    assert ask(client, {"robot-id": "ageless", "robot-age": 5}).status == 200


def test_a_stored_value_that_the_model_does_not_accept_is_refused_and_says_where_it_is_from(client: Client) -> None:
    error = ask(client, {"robot-id": "beyond"}).error
    assert (error["field"], error["got"]) == ("robot-age", "99.0")
    assert 'from the view "robots"' in error["message"]
    own = ask(client, {"robot-id": 7, "robot-age": 99}).error
    assert "view" not in own["message"]


def test_what_cannot_be_read_is_an_error_and_not_a_traceback(client: Client) -> None:
    answer = ask(client, {"robot-id": "broken"})
    assert answer.status == 503
    assert "cannot be read" in answer.error["message"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, '"robot-id" is required'),
        ({"rust-level": 1}, '"robot-id" is required'),
        ({"robot-id": None}, "an id is a text or a number"),
        ({"robot-id": True}, "an id is a text or a number"),
        ({"robot-id": [7]}, "an id is a text or a number"),
        ({"robot-id": " "}, "an id is not empty"),
        ({"robot-id": "x" * 201}, "at most 200 characters"),
        ({"robot-id": 10**300}, "at most 200 characters"),
        ({"robot-id": "\ud800"}, "half characters"),
        ({"robot-id": 7, "colour": "red"}, 'no input "colour"'),
        (7, "not an object"),
    ],
)
def test_a_row_that_is_not_about_an_entity_is_refused(client: Client, row: object, why: str) -> None:
    answer = ask(client, {"robot-id": 8}, row)
    assert answer.status == 422
    assert answer.error["row"] == 1
    assert why in answer.error["message"]


@pytest.mark.parametrize("body", [{"entities": []}, {"entities": {"robot-id": 7}}, {"entities": [7], "payload": []}])
def test_a_body_that_is_not_in_this_form_is_refused(client: Client, body: object) -> None:
    assert client.post("/predict", body).status == 422


def test_the_same_key_twice_in_a_row_is_refused(client: Client) -> None:
    body = b'{"entities": [{"robot-id": 7, "robot-id": 8}]}'
    assert "appears twice" in client("POST", "/predict", body, content_type="application/json").error["message"]


def test_a_plain_payload_is_as_before(client: Client) -> None:
    row = {"robot-age": 0}
    assert client.predict(row).json == client.predict(row, query="?model=plain").json == {"prediction": [1]}
    error = client.predict({"robot-id": 7, **row}).error
    assert error["field"] == "robot-id"
    assert '"entities"' in error["message"], "where it would be looked up"


@pytest.mark.parametrize(("model", "why"), [("plain", "without a feature store"), ("alone", "no entity")])
def test_entities_of_a_model_that_has_none_are_refused(client: Client, model: str, why: str) -> None:
    answer = client.post(f"/predict?model={model}", {"entities": [{"robot-id": 7}]})
    assert answer.status == 422
    assert why in answer.error["message"]
    assert client.post(f"/v1/models/{model}:predict", {"instances": [{"robot-id": 7}]}).error["field"] == "robot-id"


def test_thousands_of_entities_in_one_request(client: Client, store: Server) -> None:
    ids = [7, 8] * 1_500
    assert ask(client, *({"robot-id": id} for id in ids)).json["prediction"] == [0, 1] * 1_500


def test_the_log_has_what_was_used_and_where_it_came_from(served: tuple[Deployment, Client], store: Server) -> None:
    deployment, client = served
    at = store.put("10", BAD | {"battery": None})
    before = len(logged(deployment))
    ask(client, {"robot-id": 10.0, "rust-level": 0, "context": {"region": "north"}})
    ask(client, {"robot-id": 4711})
    client.post("/v1/models/robots:predict", {"instances": [{"robot-id": 10}, {"robot-age": 0}]})
    joined, refused, mixed = answers(deployment)[before:]
    (row,) = json.loads(joined.rows)
    assert row.pop("_features") == {
        "entity": {"robot-id": "10"},
        "views": {"robots": {"time": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "inputs": ["robot-age", "battery"]}},
    }
    assert row == {"robot-age": 5.0, "rust-level": 0, "battery": None, "context": {"region": "north"}}
    of = {"_features": {"entity": {"robot-id": "4711"}}}
    assert (refused.record.status, json.loads(refused.rows)) == (422, [{"robot-id": 4711, **of}])
    first, second = json.loads(mixed.rows)
    assert (first["battery"], second) == (None, {"robot-age": 0})


def test_features_are_in_the_signature_and_in_the_openapi_document(client: Client) -> None:
    features = client.get("/signature").json["features"]
    assert (features["entity"], features["inputs"]["battery"]["view"]) == ("robot-id", "robots")
    assert "features" not in client.get("/signature?model=plain").json
    document = client.get("/openapi.json").json
    schema = document["components"]["schemas"]["Entity-robots"]
    assert (schema["required"], "battery" in schema["properties"]) == (["robot-id"], True)
    assert "Entity-plain" not in document["components"]["schemas"]


def test_every_type_comes_back(deployment: Deployment, tmp_path: Path, store: Server) -> None:
    kinds = {field["name"]: field["type"] for field in EVERY_TYPE}
    inputs = {name: (name.replace("-", "_"), kind) for name, kind in kinds.items()}
    deployment.publish(with_features(bundle(tmp_path / "every", EVERY_TYPE), inputs=inputs, view="every"))
    moment = ago(86_400 * 400)
    values = {
        "size": 1.5,
        "count": -3,
        "charging": True,
        "spare": None,
        "class": "x y",
        "town": "Argos",
        "built": None,
        "seen_on": moment,
    }
    store.put("all", values, view="every")
    with endpoint(deployment, online=store.online()) as (_, client):
        answer = ask(client, {"robot-id": "all"})
        assert answer.status == 200, answer
        assert answer.json["missing"] == [["spare", "built"]]
    (entry,) = answers(deployment)
    (row,) = json.loads(entry.rows)
    assert {name: row[name] for name in ("size", "count", "charging", "class", "town", "seen-on")} == {
        "size": 1.5,
        "count": -3,
        "charging": True,
        "class": "x y",
        "town": "Argos",
        "seen-on": f"{moment:%Y-%m-%dT%H:%M:%S}",
    }


def test_each_version_reads_its_own_view(deployment: Deployment, tmp_path: Path, store: Server) -> None:
    """A feature was renamed: the version from before still answers, from the view that it was trained with."""
    renamed = INPUTS | {"battery": ("charge", "text")}
    deployment.publish(with_features(bundle(tmp_path / "one")))
    deployment.publish(with_features(bundle(tmp_path / "two"), inputs=renamed, view="robots_2"), promote=False)
    deployment.publish(bundle(tmp_path / "three"), promote=False)
    store.put("20", BAD)
    store.put("20", {"robot_age": 0.0, "rust_level": 0.0, "charge": None}, view="robots_2")
    store.put("21", {"robot_age": 0.0, "rust_level": 0.0, "charge": None}, view="robots_2")
    with endpoint(deployment, online=store.online()) as (_, client):

        def of(version: int, id: int) -> Any:
            return client.post(f"/v1/models/robots/versions/{version}:predict", {"entities": [{"robot-id": id}]})

        assert of(1, 20).json == {"predictions": [0]}
        assert of(2, 20).json == {"predictions": [1], "missing": [["battery"]]}
        assert 'the view "robots" knows no' in of(1, 21).error["message"]
        assert of(2, 21).status == 200
        assert "version 3 of robots" in of(3, 20).error["message"].lower()


def test_features_of_two_views_have_a_time_each(deployment: Deployment, tmp_path: Path, store: Server) -> None:
    folder = with_features(bundle(tmp_path / "b"), ttl=WEEK)
    said = json.loads((folder / "features.json").read_text())
    said["inputs"]["battery"] |= {"view": "power", "ttl_seconds": 60}
    (folder / "features.json").write_text(json.dumps(said))
    deployment.publish(folder)
    store.put("30", BAD, at=ago(3600))
    with endpoint(deployment, online=store.online()) as (_, client):
        assert 'the view "power" knows no' in ask(client, {"robot-id": 30}).error["message"]
        store.put("30", {"battery": "low"}, view="power", at=ago(120))
        assert "it is 2" in ask(client, {"robot-id": 30}).error["message"]
        assert ask(client, {"robot-id": 30, "battery": "low"}).status == 200, "what the request has need not be fresh"
        store.put("30", {"battery": "low"}, view="power")
        assert ask(client, {"robot-id": 30}).json == {"prediction": [0]}
    row = json.loads(answers(deployment)[-1].rows)[0]
    assert {view: entry["inputs"] for view, entry in row["_features"]["views"].items()} == {
        "robots": ["robot-age", "rust-level"],
        "power": ["battery"],
    }


def test_an_event_time_of_zero_is_a_time(client: Client, deployment: Deployment, tmp_path: Path, store: Server) -> None:
    """Rows without a time count from 1970 on; the bytes of that time are none."""
    deployment.publish(with_features(bundle(tmp_path / "b")))
    store.put("epoch", BAD, at=ago(time.time()).replace(second=0, microsecond=0))
    with endpoint(deployment, online=store.online()) as (_, client):
        assert ask(client, {"robot-id": "epoch"}).json == {"prediction": [0]}


def test_a_value_that_was_never_stored_is_a_null(client: Client, store: Server) -> None:
    """A view that got a field after the row was written: Feast says null, too."""
    store.put("short", {"robot_age": 0.0, "rust_level": message(0.0)})
    assert ask(client, {"robot-id": "short"}).json == {"prediction": [1], "missing": [["battery"]]}


ROW = st.dictionaries(st.sampled_from(["robot-id", "robot-age", "battery", "context", "x"]), SCALARS | JSON, max_size=4)
REQUESTS = st.one_of(
    st.tuples(st.just("/predict"), st.fixed_dictionaries({"entities": st.lists(ROW, max_size=3) | JSON})),
    st.tuples(st.just("/v1/models/robots:predict"), st.fixed_dictionaries({"instances": st.lists(ROW, max_size=3)})),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=REQUESTS)
def test_anything_about_entities_is_answered(served: tuple[Deployment, Client], request: tuple[str, Any]) -> None:
    path, value = request
    answer = served[1]("POST", path, json.dumps(value), Content_Type="application/json")
    assert answer.status in (200, 400, 422), (answer, request)
    assert isinstance(answer.json, dict)


def test_requests_are_answered_as_the_openapi_document_says(client: Client) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
    schema.validate()
    schema.config.update(base_url=f"http://127.0.0.1:{client.port}", headers=client.headers)
    contract.ask(schema["/v1/models/robots:predict"]["POST"], GenerationMode.POSITIVE, contract.CHECKED)
