"""The API over real HTTP: right answers, and for everything wrong a 4xx that says where."""

import json
import math
import socket
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from serving import server as http
from tests.serving.bundles import bundle
from tests.serving.service import Client, Deployment, serving

BAD = {"robot-age": 5, "rust-level": "9", "battery": "low"}


def test_one_row(robots: Client) -> None:
    answer = robots.predict(BAD)
    assert (answer.status, answer.body) == (200, b'{"prediction": [0]}')
    assert answer.headers["x-model-version"] == "1"


def test_a_batch_in_its_order(robots: Client) -> None:
    assert robots.predict(BAD, {"robot-age": 0}, {"robot-age": "0", "rust-level": None}, BAD).json == {
        "prediction": [0, 1, 1, 0]
    }


def test_ten_thousand_rows_at_once(robots: Client) -> None:
    assert robots.predict(*[BAD, {"robot-age": 1}] * 5_000).json == {"prediction": [0, 1] * 5_000}


def test_probabilities_when_asked_for(robots: Client) -> None:
    value = robots.predict(BAD, query="?probabilities=1").json
    assert value["prediction"] == [0]
    assert value["probabilities"][0] == pytest.approx([1 / (1 + math.exp(-3.5)), 1 / (1 + math.exp(3.5))], abs=1e-6)
    assert "probabilities" not in robots.predict(BAD, query="?probabilities=0").json


def test_a_regression_answers_numbers_and_has_no_probabilities(hours: Client) -> None:
    assert hours.predict({"robot-age": 4}).json == {"prediction": [6.0]}
    assert (
        hours.predict({"robot-age": 4}, query="?probabilities=1").error["message"]
        == "A regression has no probabilities."
    )


@pytest.mark.parametrize(
    ("row", "field", "expected", "got"),
    [
        ({"rust-level": 1}, "robot-age", "a number from 0 to 60", "nothing"),
        ({"robot-age": None}, "robot-age", "a number from 0 to 60", "null"),
        ({"robot-age": "old"}, "robot-age", "a number from 0 to 60", '"old"'),
        ({"robot-age": True}, "robot-age", "a number from 0 to 60", "true"),
        ({"robot-age": 61}, "robot-age", "a number from 0 to 60", "61"),
        ({"robot-age": [1]}, "robot-age", "a number from 0 to 60", "an array of 1"),
        ({"robot-age": 5, "battery": "purple"}, "battery", 'one of "high", "low", "medium"', '"purple"'),
        ({"robot-age": 5, "robot_age": 5}, "robot_age", "only robot-age, rust-level, battery", "5"),
        ({"robot-age": 10**300}, "robot-age", "a number from 0 to 60", "an integer of more than 80 digits"),
        ("a row", None, "an object of fields", '"a row"'),
        (None, None, "an object of fields", "null"),
    ],
)
def test_an_error_names_row_field_expected_and_got(
    robots: Client, row: Any, field: str, expected: str, got: str
) -> None:
    answer = robots.predict(BAD, row)
    assert answer.status == 422
    error = answer.error
    assert (error["row"], error["field"], error["expected"], error["got"]) == (1, field, expected, got)


def test_a_misspelt_field_is_answered_with_the_nearest(robots: Client) -> None:
    assert 'Did you mean "robot-age"?' in robots.predict({"robot_age": 5}).error["message"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "no body"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b'\xef\xbb\xbf{"payload": []}', 400, "not JSON"),
        (b'{"payload": [{"robot-age": NaN}]}', 400, "NaN"),
        (b'{"payload": [{"robot-age": -Infinity}]}', 400, "Infinity"),
        (b'{"payload": [{"robot-age": 1e999}]}', 422, "robot-age"),
        (b'{"payload": [{"robot-age": 1, "robot-age": 2}]}', 400, "twice"),
        (b'{"payload": [], "payload": [{}]}', 400, "twice"),
        (b"[" * 100_000, 400, "deep"),
        (b'{"payload":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, 400, "deep"),
        (b'{"payload": [{"robot-age": ' + b"9" * 5_000 + b"}]}", 400, "digits"),
        (b"[]", 422, "not a JSON object"),
        (b'"payload"', 422, "not a JSON object"),
        (b"null", 422, "not a JSON object"),
        (b"{}", 422, "list of rows"),
        (b'{"payload": {}}', 422, "list of rows"),
        (b'{"payload": []}', 422, "no rows"),
        (b'{"rows": [{}]}', 422, "rows"),
        (b'{"payload": [{}], "more": 1}', 422, "more"),
        (b'{"payload": [{"\\ud800": 1}]}', 422, "no input"),
    ],
)
def test_a_malformed_body(robots: Client, body: bytes, status: int, says: str) -> None:
    answer = robots("POST", "/predict", body, Content_Type="application/json")
    assert answer.status == status
    assert says in answer.error["message"]


def test_too_many_rows(robots: Client) -> None:
    answer = robots.predict(*[{"robot-age": 5}] * 100_000)
    assert answer.status == 413
    assert answer.error["expected"] == "at most 10,000 rows"
    assert answer.error["got"] == "100,000 rows"


def test_a_body_of_50_mb_is_refused_at_once_and_the_client_hears_it(robots: Client) -> None:
    began = time.monotonic()
    answer = robots("POST", "/predict", b" " * 50_000_000, Content_Type="application/json")
    assert answer.status == 413
    assert answer.error["expected"] == "at most 10 MB"
    assert time.monotonic() - began < 3


def test_a_chunked_body_is_read(robots: Client) -> None:
    def pieces() -> Any:
        yield b'{"payload": [{"robot-'
        yield b'age": 50}]}'

    assert robots("POST", "/predict", pieces(), Content_Type="application/json").json == {"prediction": [0]}


def test_a_chunked_body_without_end_is_refused(robots: Client) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    said = robots.raw(
        head.replace(b"PORT", str(robots.port).encode()) + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 12,
        half_close=True,
    )
    assert said.startswith(b"HTTP/1.1 413 ")


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\n{}", 400),  # promises more than it sends
        (HEAD + b"Content-Length: 1\r\n\r\n{}", 400),  # sends more than it promises: "{" is not JSON
        (HEAD + b"Content-Length: -5\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: five\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n{}", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET //[ HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n", 400),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 413),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_lying_and_broken_requests(robots: Client, request_: bytes, status: int) -> None:
    said = robots.raw(request_.replace(b"PORT", str(robots.port).encode()), half_close=True)
    head, _, body = said.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, said[:300]
    assert b"application/json" in head
    assert json.loads(body[: body.index(b"}}") + 2])["error"]["message"]


def test_a_slow_client_is_told_so_and_let_go(robots: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.3)
    said = robots.raw(HEAD.replace(b"PORT", str(robots.port).encode()) + b"Content-Length: 100\r\n\r\n{")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert robots.raw(b"POST /pre").startswith(b"HTTP/1.1 408 ")


def test_silent_connections_keep_nobody_waiting(robots: Client) -> None:
    """Browsers open connections ahead of need: more of them than there are threads."""
    idle = [socket.create_connection(("127.0.0.1", robots.port)) for _ in range(http.THREADS * 2)]
    try:
        began = time.monotonic()
        assert robots.predict(BAD).status == 200
        assert time.monotonic() - began < 2
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "json"]
)
def test_another_content_type(robots: Client, kind: str) -> None:
    answer = robots("POST", "/predict", b"{}", Content_Type=kind)
    assert answer.status == 415
    assert answer.error["expected"] == "application/json"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=UTF-8", "Application/JSON", 'application/json;charset="utf-8"']
)
def test_other_ways_to_say_json(robots: Client, kind: str) -> None:
    assert robots("POST", "/predict", json.dumps({"payload": [BAD]}), Content_Type=kind).status == 200


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/predict", "POST"), ("/signature", "GET, HEAD"), ("/healthz", "GET, HEAD"), ("/openapi.json", "GET, HEAD")],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_another_method(robots: Client, path: str, allow: str, method: str) -> None:
    answer = robots(method, path)
    if method in allow:
        assert answer.status != 405
        return
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.error["expected"] == allow


def test_an_unknown_probabilities_value(robots: Client) -> None:
    assert robots.predict(BAD, query="?probabilities=maybe").error["field"] == "probabilities"


def test_head_has_no_body(robots: Client) -> None:
    answer = robots("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


def test_the_signature_is_the_bundles(robots: Client, tmp_path: Path) -> None:
    signature = robots.get("/signature").json
    assert signature == json.loads((bundle(tmp_path / "same") / "signature.json").read_text())


def test_health_names_the_version(robots: Client) -> None:
    health = robots.get("/healthz").json
    assert (health["status"], health["ready"], health["model"], health["version"]) == ("ok", True, "robots", "1")
    assert health["refused"] is None


def test_without_a_model_it_is_alive_and_says_what_is_missing(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        assert client.get("/healthz").json["ready"] is False
        answer = client.predict(BAD)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert answer.error["message"] == "No model is deployed yet: run the workflow first."
        assert client.get("/signature").status == 503
        assert client.get("/openapi.json").status == 200
        assert "Nothing to ask yet" in client.get("/").text
        assert client("POST", "/predict", b"{", Content_Type="application/json").status == 400


def test_one_connection_serves_many_requests(robots: Client) -> None:
    connection = HTTPConnection("127.0.0.1", robots.port, timeout=10)
    connection.connect()
    opened = connection.sock
    for kind, status in [("application/json", 200)] * 3 + [("text/plain", 415)]:
        connection.request("POST", "/predict", json.dumps({"payload": [BAD]}), {"Content-Type": kind})
        assert connection.sock is opened
        response = connection.getresponse()
        response.read()
        assert response.status == status
    assert response.getheader("Connection") == "close"  # what was refused unread is not taken for the next request
    connection.close()
