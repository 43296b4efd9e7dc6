"""For every request, the answer is 2xx or 4xx in JSON, and the next request is served."""

import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon.web import server as http
from tests.support.bundles import EVERY_TYPE
from tests.support.button import Client

fast = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
near = st.sampled_from(
    ["1", "true", "Argos", "x y", "2024-03-01", "9e9", "", " 3", 3, 2.5, True, None, "1e400", -(10**30)]
)
names = st.sampled_from([entry["name"] for entry in EVERY_TYPE])
rows = st.dictionaries(names, near | values, max_size=8) | st.fixed_dictionaries(
    {e["name"]: near | values for e in EVERY_TYPE}
)
payloads = st.builds(lambda r: {"payload": r}, st.lists(rows | values, max_size=4)) | values

good = st.fixed_dictionaries(
    {
        "size": st.floats(-1e30, 1e30) | st.integers(-(10**9), 10**9) | st.integers(-(10**9), 10**9).map(str),
        "count": st.integers(-5, 1000) | st.integers(-5, 1000).map(str),
        "charging": st.sampled_from([True, False, "yes", "No", 0, 1, "TRUE"]),
        "class": st.sampled_from(["1", "2", "x y", 1, 2]),
        "seen-on": st.dates(min_value=date(2000, 1, 1), max_value=date(2030, 12, 31)).map(str),
    },
    optional={
        "spare": st.none() | st.booleans(),
        "town": st.none() | st.text(max_size=20),
        "built": st.none() | st.dates().map(str) | st.datetimes().map(lambda d: d.isoformat()),
    },
)


def judge(client: Client, body: bytes) -> None:
    answer = client("POST", "/predict?probabilities=1", body, Content_Type="application/json")
    if answer.status == 200:
        count = len(json.loads(body)["payload"])
        assert set(answer.json) == {"prediction", "probabilities"}
        assert len(answer.json["prediction"]) == len(answer.json["probabilities"]) == count > 0
        assert set(answer.json["prediction"]) <= {0, 1}
    else:
        assert answer.status in (400, 413, 422)
        assert answer.error["message"]


@fast
@given(payloads)
def test_any_json_is_answered_or_rejected_with_an_error(every_type: Client, value: Any) -> None:
    judge(every_type, json.dumps(value).encode())


@fast
@given(
    st.binary(max_size=200) | st.text(st.sampled_from('{}[]":,payload0123e.-nulltrue \\'), max_size=80).map(str.encode)
)
def test_any_bytes_are_answered_or_rejected_with_an_error(every_type: Client, body: bytes) -> None:
    judge(every_type, body)


@fast
@given(st.lists(good, min_size=1, max_size=5))
def test_rows_that_the_signature_allows_are_always_answered(every_type: Client, batch: list[dict[str, Any]]) -> None:
    answer = every_type.predict(*batch)
    assert answer.status == 200, answer.text
    one_by_one = [every_type.predict(row).json["prediction"][0] for row in batch]
    assert answer.json["prediction"] == one_by_one


@fast
@given(st.floats(0, 60), st.none() | st.floats(0, 10), st.sampled_from(["high", "low", "medium", None]))
def test_the_answer_equals_the_models_output(
    robots: Client, age: float, rust: float | None, battery: str | None
) -> None:
    place = {"high": 0, "low": 1, "medium": 2, None: 0}[battery]
    score = 0.5 * (age + (rust or 0) + place)
    said = robots.predict({"robot-age": age, "rust-level": rust, "battery": battery}, query="?probabilities=1").json
    assert abs(said["probabilities"][0][0] - 1 / (1 + math.exp(4 - score))) < 2e-6


@fast
@given(st.binary(max_size=300))
def test_any_form_is_answered_or_rejected_with_an_error(robots: Client, body: bytes) -> None:
    assert robots("POST", "/press", body, Content_Type="application/x-www-form-urlencoded").status in (200, 400)


@fast
@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"]), max_size=60))
def test_any_path_is_answered_or_rejected_with_an_error(robots: Client, path: str) -> None:
    said = robots.raw(
        f"GET /{path} HTTP/1.1\r\nHost: localhost:{robots.port}\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    assert 200 <= int(said.split()[1]) < 500, said[:200]


PATHS = [
    *("/", "/predict", "/press", "/healthz", "/questions", "/runs.json"),
    *("/signature", "/openapi.json", "/plots/1/a.svg"),
]
NAMES = ["at", "seen", "probabilities", "run", "version", "file", "a"]
HEADERS = ["Content-Type", "Content-Length", "Transfer-Encoding", "Expect", "Origin", "Cookie", "HX-Request", "Range"]
SENT = ["application/json", "chunked", "0", "5", "100-continue", "bytes=0-1", "true"]
sent = st.binary(max_size=30) | st.sampled_from(SENT).map(str.encode)
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), st.text(st.sampled_from("0aZ%=&;+-:T\x00\xe9 %ff%00"), max_size=12)), max_size=4
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not wait long for a body that never arrives."""
    monkeypatch.setattr(http, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(http, "LINGER_SECONDS", 0.1)


@fast
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
    st.sampled_from(PATHS),
    queries | st.text(max_size=20),
    st.lists(st.tuples(st.sampled_from(HEADERS) | st.text("abcXYZ-_ :\t", max_size=8), sent), max_size=4),
    st.binary(max_size=60),
)
def test_any_head_query_and_body_is_answered_without_an_error_of_the_server(
    robots: Client,
    hasty: None,
    capfd: Any,
    method: str,
    path: str,
    query: str,
    headers: list[tuple[str, bytes]],
    body: bytes,
) -> None:
    line = f"{method} {path}?{query} HTTP/1.1\r\nHost: localhost:{robots.port}\r\nConnection: close\r\n"
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    said = robots.raw(line.encode(errors="replace") + head + b"\r\n" + body)
    status = int(said.split()[1])
    assert 100 <= status < 500 or status == 501, said[:300]
    assert "Traceback" not in capfd.readouterr().err
