"""The API over real HTTP: correct answers, and a 4xx with the position for every error."""

import json
import math
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from pantheon.deployment.predict import predict
from pantheon.web import server as http
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment, serving

BAD = {"robot-age": 5, "rust-level": "9", "battery": "low"}


def test_one_row_is_answered_with_one_label_and_the_models_version(robots: Client) -> None:
    answer = robots.predict(BAD)
    assert (answer.status, answer.body) == (200, b'{"prediction":[0]}')
    assert answer.headers["x-model-version"] == "1"


def test_a_batch_in_its_order(robots: Client) -> None:
    assert robots.predict(BAD, {"robot-age": 0}, {"robot-age": "0", "rust-level": None}, BAD).json == {
        "prediction": [0, 1, 1, 0]
    }


def test_ten_thousand_rows_at_once(robots: Client) -> None:
    assert robots.predict(*[BAD, {"robot-age": 1}] * 5_000).json == {"prediction": [0, 1] * 5_000}


def test_probabilities_on_request(robots: Client) -> None:
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


def test_the_error_for_a_misspelt_field_suggests_the_nearest(robots: Client) -> None:
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
        (b"[" * 20_000, 400, "deep"),
        (b'{"payload":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, 400, "deep"),
        (b"[" * 100_000, 413, "too many values"),
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
def test_a_malformed_body_is_rejected_with_the_reason(robots: Client, body: bytes, status: int, says: str) -> None:
    answer = robots("POST", "/predict", body, Content_Type="application/json")
    assert answer.status == status
    assert says in answer.error["message"]


def test_too_many_rows_are_rejected(robots: Client) -> None:
    answer = robots.predict(*[{"robot-age": 5}] * 20_000)
    assert answer.status == 413
    assert answer.error["expected"] == "at most 10,000 rows"
    assert answer.error["got"] == "20,000 rows"


def test_too_many_values_are_rejected_before_they_are_decoded(robots: Client) -> None:
    answer = robots.predict(*[{"robot-age": 5}] * 100_000)
    assert (answer.status, answer.error["expected"]) == (413, "at most 10,000 rows of 3 inputs")
    texts = {"robot-age": 5, "battery": '{"\\",' * 200_000}  # what is within a text is not counted
    assert robots.predict(texts).status == 422


def test_a_body_of_50_mb_is_rejected_immediately_and_the_client_gets_the_answer(robots: Client) -> None:
    began = time.monotonic()
    answer = robots("POST", "/predict", b" " * 50_000_000, Content_Type="application/json")
    assert answer.status == 413
    assert answer.error["expected"] == "at most 10 MB"
    assert time.monotonic() - began < 15


def test_a_chunked_body_is_read(robots: Client) -> None:
    def pieces() -> Any:
        yield b'{"payload": [{"robot-'
        yield b'age": 50}]}'

    assert robots("POST", "/predict", pieces(), Content_Type="application/json").json == {"prediction": [0]}


def test_an_endless_chunked_body_is_rejected(robots: Client) -> None:
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
        (HEAD + b"Content-Length: 99999999999\r\n\r\n{}", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n", 400),
    ],
)
def test_bodies_with_a_wrong_length_and_broken_bodies(robots: Client, request_: bytes, status: int) -> None:
    said = robots.raw(request_.replace(b"PORT", str(robots.port).encode()), half_close=True)
    head, _, body = said.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, said[:300]
    assert b"application/json" in head
    assert json.loads(body[: body.index(b"}}") + 2])["error"]["message"]


def test_a_slow_body_gets_408(robots: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.3)
    said = robots.raw(HEAD.replace(b"PORT", str(robots.port).encode()) + b"Content-Length: 100\r\n\r\n{")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive in time" in said


def test_a_large_batch_does_not_hold_up_small_requests(robots: Client) -> None:
    body = json.dumps({"payload": [BAD] * 10_000}).encode()
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            assert robots("POST", "/predict", body, Content_Type="application/json").status == 200

    thread = threading.Thread(target=load)
    thread.start()
    try:
        times = []
        for _ in range(50):
            began = time.monotonic()
            assert robots.predict(BAD).status == 200
            times.append(time.monotonic() - began)
    finally:
        end.set()
        thread.join()
    assert sorted(times)[25] < 0.05, times


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "json"]
)
def test_other_content_types_are_rejected(robots: Client, kind: str) -> None:
    answer = robots("POST", "/predict", b"{}", Content_Type=kind)
    assert answer.status == 415
    assert answer.error["expected"] == "application/json"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=UTF-8", "Application/JSON", 'application/json;charset="utf-8"']
)
def test_variants_of_the_json_content_type_are_accepted(robots: Client, kind: str) -> None:
    assert robots("POST", "/predict", json.dumps({"payload": [BAD]}), Content_Type=kind).status == 200


ALLOWED = {"/predict": "POST", "/signature": "GET, HEAD", "/healthz": "GET, HEAD", "/openapi.json": "GET, HEAD"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


@pytest.mark.parametrize(
    ("path", "allow", "method"),
    [(path, allow, method) for path, allow in ALLOWED.items() for method in METHODS if method not in allow],
)
def test_other_methods_are_rejected_with_the_allowed_ones(robots: Client, path: str, allow: str, method: str) -> None:
    answer = robots(method, path)
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


def test_without_a_model_it_is_healthy_and_reports_what_is_missing(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        assert client.get("/healthz").json["ready"] is False
        answer = client.predict(BAD)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert answer.error["message"] == "No model is deployed yet: run the workflow first."
        assert client.get("/signature").status == 503
        assert client.get("/openapi.json").status == 200
        assert "No model yet" in client.get("/").text
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


def test_the_command_predicts_with_a_classification_and_with_a_regression(robots: Client, hours: Client) -> None:
    labels = predict(f"http://127.0.0.1:{robots.port}", [BAD])
    assert labels["prediction"] == [0]
    assert sum(labels["probabilities"][0]) == pytest.approx(1)
    numbers = predict(f"http://127.0.0.1:{hours.port}", [{"robot-age": 5, "rust-level": 9}])
    assert isinstance(numbers["prediction"][0], float)
    assert "probabilities" not in numbers
