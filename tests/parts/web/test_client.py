"""The HTTP client retries while a service is unreachable, never uses a proxy, and reports clear errors."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pantheon.airflow.client import Airflow, Refused
from pantheon.airflow.dataflow import Service
from pantheon.deployment import predict
from pantheon.errors import PantheonError
from pantheon.jupyter.client import Gone, Jupyter
from pantheon.web.client import Client, NoAnswer

Answers = Callable[[BaseHTTPRequestHandler, Any], tuple[int, Any]]


class Stub(ThreadingHTTPServer):
    """Answers JSON as ``answer`` says, and remembers ``(method, path, headers, body)`` of each request."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.answer: Answers = lambda request, body: (200, {"got": body})
        super().__init__(("127.0.0.1", port), Handler)
        self.address = "http://127.0.0.1:{1}".format(*self.server_address)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Stub)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, value = self.server.answer(self, body)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Model-Version", "7")
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PATCH = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.shutdown()
    made.server_close()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_json_and_headers_are_sent_and_received(stub: Stub) -> None:
    answer = Client(stub.address, "it", headers={"Authorization": "token x"}).send("POST", "/a?b=c", {"é": [1]})
    assert (answer.status, answer.json(), answer.headers["x-model-version"]) == (200, {"got": {"é": [1]}}, "7")
    method, path, headers, _ = stub.seen[0]
    assert (method, path, headers["Authorization"], headers["Content-Type"]) == (
        *("POST", "/a?b=c", "token x"),
        "application/json",
    )


def test_a_proxy_of_the_environment_is_not_used(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, free_address())
    assert Client(stub.address, "it").send("GET", "/").ok


def test_the_error_for_an_unreachable_service_has_the_reason_and_the_cure() -> None:
    address = free_address()
    with pytest.raises(NoAnswer, match=f"it at {address} does not answer: Connection refused. Start it"):
        Client(address, "it", "Start it.").send("GET", "/")


def test_a_hanging_service_times_out(stub: Stub) -> None:
    def hang(request: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any]:
        time.sleep(1)
        return 200, {}

    stub.answer = hang
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 seconds"):
        Client(stub.address, "it", timeout=0.2).send("GET", "/")


def test_it_retries_until_the_service_is_back() -> None:
    address = free_address()
    made: list[Stub] = []
    late = threading.Timer(0.4, lambda: made.append(Stub(int(address.rpartition(":")[2]))))
    late.start()
    assert Client(address, "it").ask("GET", "/", retry_seconds=10).ok
    late.join()
    made[0].shutdown()
    made[0].server_close()


def test_it_retries_on_temporary_statuses(stub: Stub) -> None:
    stub.answer = lambda request, body: (503, {}) if len(stub.seen) < 3 else (200, {})
    assert Client(stub.address, "it").ask("GET", "/", retry_seconds=10).ok
    assert len(stub.seen) == 3
    stub.answer = lambda request, body: (503, {})
    with pytest.raises(NoAnswer, match="it answered with status 503"):
        Client(stub.address, "it").ask("GET", "/", retry_seconds=0.2)


def test_a_connection_closed_by_the_server_is_reopened(stub: Stub) -> None:
    client = Client(stub.address, "it")
    assert client.send("GET", "/").ok
    port = stub.server_address[1]
    stub.shutdown()
    stub.server_close()
    again = Stub(port)
    assert client.ask("GET", "/", retry_seconds=5).ok
    again.shutdown()
    again.server_close()


def test_airflow_logs_in_again_when_its_token_has_expired(stub: Stub, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("secret\n")
    tokens: list[str] = []

    def answer(request: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any]:
        if request.path == "/auth/token":
            tokens.append(body["password"])
            return 201, {"access_token": f"t{len(tokens)}"}
        if request.path == "/missing":
            return 404, {"detail": "no such DAG"}
        return (200, {"state": "success"}) if request.headers["Authorization"] == "Bearer t2" else (401, {})

    stub.answer = answer
    airflow = Airflow(stub.address, tmp_path / "password")
    assert airflow.state("pantheon", "run 1") == "success"
    assert tokens == ["secret", "secret"]
    assert stub.seen[-1][1] == "/api/v2/dags/pantheon/dagRuns/run%201"
    with pytest.raises(Refused, match="Airflow rejected the request: no such DAG"):
        airflow.ask("/missing")


def test_a_dag_run_whose_first_request_arrived_is_not_rejected_when_it_is_repeated(stub: Stub, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("x")
    statuses = iter([409, 403])

    def answer(request: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any]:
        if request.path == "/auth/token":
            return 201, {"access_token": "1"}
        return next(statuses), {"detail": "no"}

    stub.answer = answer
    airflow = Airflow(stub.address, tmp_path / "password")
    airflow.trigger("etl", "pantheon__1", {})
    with pytest.raises(Refused):
        airflow.trigger("etl", "pantheon__2", {})


def test_a_rejection_of_the_dataflow_service_has_its_reason(stub: Stub) -> None:
    stub.answer = lambda request, body: (401, {"error": "A token is needed."})
    with pytest.raises(PantheonError, match="rejected the request: A token is needed"):
        Service(stub.address, "x").ask("GET", "/runs/1")


def test_a_rejected_token_and_an_unknown_job_in_jupyter(stub: Stub) -> None:
    stub.answer = lambda request, body: (403, {})
    with pytest.raises(PantheonError, match="rejected the token"):
        Jupyter(stub.address, "x").job("1")
    stub.answer = lambda request, body: (404, {})
    with pytest.raises(Gone):
        Jupyter(stub.address, "x").job("1")


def test_a_rejection_of_the_button_is_shown_unchanged(stub: Stub) -> None:
    stub.answer = lambda request, body: (422, {"error": {"message": "Row 0: no."}})
    with pytest.raises(PantheonError, match=r"Row 0: no\. For the expected fields"):
        predict.ask(stub.address, "/predict", {"payload": []})
    stub.answer = lambda request, body: (200, b"<html>")
    with pytest.raises(PantheonError, match="is not the button"):
        predict.ask(stub.address, "/signature")
    with pytest.raises(PantheonError, match=r"no service answers at .* \(Connection refused\)\. Start it"):
        predict.ask(free_address(), "/signature")
