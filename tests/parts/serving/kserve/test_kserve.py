"""KServe's ModelServer predicts behind the endpoint: the same answers, and a KServe that dies, hangs or is slow."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from pantheon.files import write_json
from serving.inference.kserve import Kserve
from serving.model import predictor
from serving.model.explain import explain
from serving.model.signature import Signature
from tests.parts.serving.test_inference_log import answers
from tests.parts.serving.test_swap import ROW, check_swaps
from tests.support import kserve, kubeflow
from tests.support.bundles import EVERY_TYPE, ROBOTS, bundle, signature
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, free_port, process
from tests.support.feast_bytes import with_features
from tests.support.looping import endless
from tests.support.online import valkey
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Several models, one of which never ends for a robot of more than 50 years."""
    folder = tmp_path_factory.mktemp("kserve")
    made = Deployment(folder / "deployment")
    made.publish(bundle(folder / "one", bias=40))
    models = {
        "mixed": with_features(bundle(folder / "mixed", bias=bias_for(ROBOTS))),
        "types": bundle(folder / "types", EVERY_TYPE, bias=bias_for(EVERY_TYPE), classes=["a", "b", "c"], labels={}),
        "hours": bundle(folder / "hours", ROBOTS[:2], "regression"),
        "endless": endless(folder / "endless"),
    }
    for name, path in models.items():
        made.store.publish(name, path, {})
        made.store.promote(name, "1")
    return made


@pytest.fixture(scope="module")
def server(deployment: Deployment) -> Iterator[kserve.Server]:
    with kserve.serving(deployment.folder, free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def client(deployment: Deployment, server: kserve.Server) -> Iterator[Client]:
    """The endpoint, as a process, with KServe behind it."""
    with process(deployment.folder, **server.settings) as (_, client):
        until(lambda: client.get("/v2/health/ready").status == 200)
        yield client


@pytest.fixture(scope="module")
def usual(deployment: Deployment) -> Iterator[Client]:
    """The endpoint that predicts itself."""
    with endpoint(deployment, explain=explain) as (_, client):
        yield client


def random_rows(inputs: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Rows that the inputs allow, some with missing values."""
    random = np.random.default_rng(12)

    def value(field: dict[str, Any]) -> Any:
        if field["nullable"] and random.random() < 0.1:
            return None
        if field["type"] == "boolean":
            return bool(random.integers(2))
        if field["type"] == "category":
            return str(random.choice(field["categories"]))
        if field["type"] == "date":
            return f"20{random.integers(10, 29)}-{random.integers(1, 13):02}-{random.integers(1, 28):02}"
        if field["type"] == "integer":
            return int(random.integers(field["min"], field["max"]))
        return float(np.float32(random.uniform(field.get("min", -5), field.get("max", 5))))

    return [{field["name"]: value(field) for field in inputs} for _ in range(count)]


def bias_for(inputs: list[dict[str, Any]]) -> float:
    """The bias with which half of the random rows are of the last class."""
    return float(np.median(np.nansum(Signature(signature(inputs)).encode(random_rows(inputs, 1000)), axis=1)) / 2)


@pytest.mark.parametrize(("model", "inputs"), [("mixed", ROBOTS), ("types", EVERY_TYPE), ("hours", ROBOTS[:2])])
def test_a_thousand_random_rows_have_the_same_answers(
    client: Client, usual: Client, model: str, inputs: list[dict[str, Any]]
) -> None:
    rows = random_rows(inputs, 1000)
    query = f"?model={model}" + ("" if model == "hours" else "&probabilities=1")
    whole = client.predict(*rows, query=query)
    assert whole.status == 200, whole
    assert whole.body == usual.predict(*rows, query=query).body
    if model != "hours":
        assert len(set(whole.json["prediction"])) == 2
    for row in rows[:20]:
        assert client.predict(row, query=query).body == usual.predict(row, query=query).body


def test_errors_in_rows_and_explanations_are_the_same(client: Client, usual: Client) -> None:
    wrong = {"robot-age": "old"}
    assert client.predict(wrong).error == usual.predict(wrong).error
    asked = {"instances": [{"robot-age": 5, "rust-level": 9, "battery": "low"}]}
    explained = client.post("/v1/models/robots:explain", asked)
    assert explained.status == 200
    assert explained.body == usual.post("/v1/models/robots:explain", asked).body


def test_features_of_entities_are_looked_up_first(
    deployment: Deployment, server: kserve.Server, usual: Client, tmp_path: Path
) -> None:
    row = {"robot-age": 5.0, "rust-level": 9.0, "battery": "low"}
    with valkey(tmp_path / "valkey") as store:
        store.put("7", {name.replace("-", "_"): value for name, value in row.items()})
        predicting = Kserve(server.settings["ENDPOINT_KSERVE"], kserve.TOKEN)
        with endpoint(deployment, explain=explain, kserve=predicting, online=store.online()) as (_, client):
            for verb in ("predict", "explain"):
                path = f"/v1/models/mixed:{verb}"
                found = client.post(path, {"entities": [{"robot-id": 7}]})
                assert (found.status, found.json) == (200, usual.post(path, {"instances": [row]}).json)
            refused = client.post("/v1/models/mixed:predict", {"entities": [{"robot-id": 8}]})
            assert (refused.status, refused.error["field"]) == (422, "robot-id")


def test_versions_come_and_go_by_aliases_without_a_lost_request(
    deployment: Deployment, server: kserve.Server, client: Client, tmp_path: Path
) -> None:
    given: list[tuple[int, str, bytes]] = []
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            answer = client.predict(ROW)
            given.append((answer.status, answer.headers.get("x-model-version", ""), answer.body))

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        try:
            for number in range(2, 6):
                deployment.publish(bundle(tmp_path / str(number), bias=-40 if number % 2 == 0 else 40))
                until(lambda number=number: given and given[-1][1] == str(number))  # type: ignore[misc]
            until(lambda: len(given) > 100)
        finally:
            end.set()
        for each in loads:
            each.result()
    check_swaps(given)
    until(lambda: [name for name in server.models() if name.startswith("robots-")] == ["robots-5"])


def test_a_version_that_a_request_names_is_loaded(client: Client, deployment: Deployment, tmp_path: Path) -> None:
    version = deployment.publish(bundle(tmp_path / "named", bias=-40), promote=False)

    def named() -> Any:
        answer = client.post(f"/v1/models/robots/versions/{version}:predict", {"instances": [ROW]})
        return answer if answer.status == 200 else None

    answer = until(named)
    assert (answer.json, answer.headers["x-model-version"]) == ({"predictions": [0]}, version)


def test_a_version_that_kserve_cannot_load_is_refused(client: Client, deployment: Deployment, tmp_path: Path) -> None:
    broken = bundle(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no model")
    version = deployment.publish(broken)
    before = client.predict(ROW).headers["x-model-version"]

    def refused() -> Any:
        return next(each for each in client.get("/healthz").json["models"] if each["model"] == "robots")["refused"]

    until(refused)
    assert refused()[version].startswith("KServe: ")
    assert client.predict(ROW).headers["x-model-version"] == before
    deployment.store.promote("robots", before)
    until(lambda: not refused())


def test_a_row_that_never_ends_holds_up_nobody(client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.predict, {"robot-age": 55}, query="?model=endless")
        while not slow.done():
            assert client.predict(ROW).status == 200
        refused = slow.result()
    assert refused.status == 503
    assert "was stopped" in refused.error["message"]


def test_only_this_machine_and_whoever_has_the_token_is_answered(server: kserve.Server) -> None:
    assert server.ask("/v2/models") == 200
    assert server.ask("/v2/models", token="wrong") == 401
    assert server.ask("/v2/repository/models/robots-1/unload", "POST", token="wrong") == 401
    assert server.ask("/v2/repository/models/robots-1/unload", "POST") == 501
    assert server.ask("/v2/repository/models/robots-999/load", "POST") == 404
    assert server.process
    listening = [each for each in psutil.Process(server.process.pid).net_connections() if each.status == "LISTEN"]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
    assert len(listening) == 1, "no gRPC"


def test_an_endpoint_that_starts_before_kserve_answers_as_soon_as_it_can(
    deployment: Deployment, server: kserve.Server
) -> None:
    server.kill()
    with endpoint(deployment, kserve=Kserve(server.settings["ENDPOINT_KSERVE"], kserve.TOKEN)) as (_, client):
        refused = client.predict(ROW)
        assert (refused.status, refused.headers["x-model-name"]) == (503, "robots")
        assert refused.error["message"] == "KServe does not answer: Connection refused."
        assert refused.headers["x-request-id"] in {entry.record.id for entry in answers(deployment)}
        assert client.get("/v2/health/ready").status == 503
        assert client.get("/healthz").status == 200, "it need not be restarted"
        server.start()
        until(lambda: client.predict(ROW).status == 200)


def test_a_kserve_that_hangs_is_said_in_time(
    deployment: Deployment, server: kserve.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "SECONDS", 2.0)
    predicting = Kserve(server.settings["ENDPOINT_KSERVE"], kserve.TOKEN)
    assert server.process
    with endpoint(deployment, kserve=predicting) as (_, client):
        until(lambda: client.predict(ROW).status == 200)
        server.process.send_signal(signal.SIGSTOP)
        try:
            refused = client.predict(ROW)
            assert (refused.status, refused.headers["retry-after"]) == (503, "2")
            assert refused.error["message"].startswith("KServe does not answer: no answer within ")
            assert client.get("/v2/health/ready").status == 503
            assert client.get("/healthz").json["kserve"]["problem"]
        finally:
            server.process.send_signal(signal.SIGCONT)
        until(lambda: client.predict(ROW).status == 200)


def test_a_kserve_that_is_killed_under_load_loses_no_record(
    deployment: Deployment, server: kserve.Server, client: Client
) -> None:
    seen: dict[str, int] = {}
    refusals: set[str] = set()
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            answer = client.predict(ROW)
            seen[answer.headers["x-request-id"]] = answer.status
            if answer.status != 200:
                refusals.add(answer.error["message"])
                time.sleep(0.01)

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        try:
            until(lambda: len(seen) > 50)
            server.kill()
            until(lambda: 503 in list(seen.values())[-4:])
            server.start()
            until(lambda: set(list(seen.values())[-20:]) == {200}, 120)
        finally:
            end.set()
        for each in loads:
            each.result()
    assert set(seen.values()) == {200, 503}
    assert all(text.startswith("KServe does not answer: ") for text in refusals)
    logged = [entry.record for entry in answers(deployment) if entry.record.id in seen]
    assert len(logged) == len(seen), "every answer is logged once"
    assert {record.id: record.status for record in logged} == seen


def test_an_inference_service_divides_requests_between_versions_that_kserve_has(
    deployment: Deployment, client: Client, tmp_path: Path
) -> None:
    for bias in (-40, 40):  # version 1 answers 0, version 2 answers 1
        deployment.store.publish("shop", bundle(tmp_path / f"bias{bias}", bias=bias), {})
    deployment.store.promote("shop", "1")
    settings = {"tier": "kraken", "dataset": deployment.model, "route": {"answers": "endpoint"}}
    write_json(deployment.folder / "state" / "deployment.json", settings)
    service = kubeflow.Service(deployment.folder, "pantheon.kubeflow")
    objects = service.start(ENDPOINT_URL=f"http://127.0.0.1:{client.port}", ENDPOINT_PORT=str(client.port))
    try:
        model = {"modelFormat": {"name": "onnx"}, "storageUri": "pantheon://shop/1"}
        canary = {"name": "next", "model": model | {"storageUri": "pantheon://shop/2"}}
        spec = {"predictor": {"model": model}, "canary": [{"predictor": canary, "trafficPercent": 50}]}
        head = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "shop"}}
        objects.apply(yaml.safe_dump(head | {"spec": spec}).encode())
        found = objects.wait("isvc", "shop", lambda found: kubeflow.ended(found, "Ready"), 90)
        assert found, objects.get("isvc", "shop")
        answered = [client.predict(ROW, query="?model=shop") for _ in range(40)]
        pairs = {(answer.headers["x-model-version"], *answer.json["prediction"]) for answer in answered}
        assert pairs == {("1", 0), ("2", 1)}, "in 40 requests, each with a chance of one half"
        objects.delete("isvc", "shop")
        assert objects.gone("isvc", found, 60)
        until(lambda: client.predict(ROW, query="?model=shop").headers["x-model-version"] == "1")
    finally:
        assert service.end(signal.SIGTERM) == 0
