"""``POST /push``: forwarded to the feature store's service, whose answer and refusals come back; with a key for it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pantheon.files import write_json
from pantheon.typed import VERSION
from serving.features.push import Push
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, free_port, with_key
from tests.support.waiting import until

ROWS = [{"robot-id": 7, "battery": "low", "event_timestamp": "2026-03-01T12:00:00Z"}]
BODY = {"view": "robots", "rows": ROWS}


class Service(ThreadingHTTPServer):
    """What the feature store's service answers, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, Any]] = []  # path, login, body
        self.status, self.answer = 200, json.dumps({"written": 1, "older": 0}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers["authorization"], body))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def pushing(deployment: Deployment, tmp_path: Path, port: int, features: str = "feast") -> Iterator[tuple[Any, Client]]:
    """An endpoint of a deployment with a feature store, and a client that may push."""
    deployment.publish(bundle(tmp_path / "robots"))
    settings = {"tier": "persephone", "dataset": "robots", "version": VERSION, "route": {"features": features}}
    write_json(deployment.folder / "state" / "deployment.json", settings)
    key = tmp_path / "key"
    key.write_text("the-key\n")
    with endpoint(deployment, push=Push(f"http://127.0.0.1:{port}", key)) as (_, client):
        pusher = with_key(deployment.folder, client, "pusher", kind="push")
        until(lambda: client.get("/healthz").json["keys"] == 2, what="the key is known")
        yield client, pusher


def test_a_push_is_forwarded_and_its_answer_comes_back(
    deployment: Deployment, tmp_path: Path, service: Service
) -> None:
    with pushing(deployment, tmp_path, service.server_port) as (client, pusher):
        answer = pusher.post("/push", BODY)
        assert (answer.status, answer.json) == (200, {"written": 1, "older": 0})
        assert "/push" in client.get("/openapi.json").json["paths"]
    assert service.asked == [("/push", "Bearer the-key", BODY)]


def test_a_key_for_predictions_pushes_nothing_and_a_key_for_pushes_predicts_nothing(
    deployment: Deployment, tmp_path: Path, service: Service
) -> None:
    with pushing(deployment, tmp_path, service.server_port) as (client, pusher):
        refused = client.post("/push", BODY)
        assert refused.status == 403
        assert "`bin/pantheon keys add NAME --push`" in refused.error["message"]
        assert Client(client.port).post("/push", BODY).status == 401
        for answer in (
            pusher.predict({"robot-age": 5}),
            pusher.post("/v1/models/robots:predict", {"instances": [{"robot-age": 5}]}),
            pusher.post("/feedback", {"id": "x", "correct": True}),
            pusher.get("/signature"),
            pusher.get("/metrics"),
        ):
            assert answer.status == 403, answer
        assert "only for /push" in pusher.predict({"robot-age": 5}).error["message"]
    assert service.asked == []


def test_a_push_counts_for_the_keys_limit(deployment: Deployment, tmp_path: Path, service: Service) -> None:
    with pushing(deployment, tmp_path, service.server_port) as (client, _):
        limited = with_key(deployment.folder, client, "limited", kind="push", per_minute=2)
        until(lambda: client.get("/healthz").json["keys"] == 3, what="the key is known")
        assert [limited.post("/push", BODY).status for _ in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize(
    ("status", "given", "expected", "says"),
    [
        (404, {"error": {"message": "there is no view robots.", "cure": "See the list."}}, 404, "view robots. See"),
        (400, {"error": {"message": "robot-id is missing."}}, 400, "robot-id is missing."),
        (413, {"error": {"message": "too many rows."}}, 413, "too many rows."),
        (401, {"error": {"message": "wrong key."}}, 503, "cannot take this now: wrong key."),
        (503, {"error": {"message": "Valkey is away.", "cure": "Wait."}}, 503, "Valkey is away. Wait."),
        (500, "<html>", 503, "status 500"),
        (200, "<html>", 503, "status 200"),
        (404, [], 404, "status 404"),
    ],
)
def test_a_refusal_of_the_service_comes_back(
    deployment: Deployment, tmp_path: Path, service: Service, status: int, given: Any, expected: int, says: str
) -> None:
    service.status = status
    service.answer = given.encode() if isinstance(given, str) else json.dumps(given).encode()
    with pushing(deployment, tmp_path, service.server_port) as (_, pusher):
        answer = pusher.post("/push", BODY)
    assert answer.status == expected
    assert says in answer.error["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("\ud800", 400),
        ("[]", 422),
        ('{"view": "robots"}', 422),
        ('{"view": "robots", "rows": []}', 422),
        ('{"view": "robots", "rows": [7]}', 422),
        ('{"view": 7, "rows": [{}]}', 422),
        ('{"view": "robots", "rows": [{}], "more": 1}', 422),
        ('{"view": "robots", "rows": [{"a": ' + "[" * 100_000, 400),
    ],
)
def test_what_is_not_a_push_is_not_forwarded(
    deployment: Deployment, tmp_path: Path, service: Service, body: str, status: int
) -> None:
    with pushing(deployment, tmp_path, service.server_port) as (_, pusher):
        sent = body.encode(errors="surrogatepass")
        answer = pusher("POST", "/push", sent, content_type="application/json")
        assert (answer.status, bool(answer.error["message"])) == (status, True)
        assert pusher("POST", "/push", b"{}", content_type="text/plain").status == 415
        assert pusher.get("/push").status == 405
    assert service.asked == []


def test_without_the_service_a_push_is_an_error(deployment: Deployment, tmp_path: Path) -> None:
    with pushing(deployment, tmp_path, free_port()) as (_, pusher):
        answer = pusher.post("/push", BODY)
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert "Connection refused" in answer.error["message"]


def test_a_tier_without_a_feature_store_says_which_has_one(
    deployment: Deployment, tmp_path: Path, service: Service
) -> None:
    with pushing(deployment, tmp_path, service.server_port, features="") as (client, pusher):
        answer = pusher.post("/push", BODY)
        assert "/push" not in client.get("/openapi.json").json["paths"]
    assert answer.status == 404
    assert "hephaestus" in answer.error["message"]
    assert service.asked == []
