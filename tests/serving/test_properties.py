"""Whatever is sent, the answer is 2xx or 4xx in JSON, and the next request is served."""

import json
import math
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.bundles import EVERY_TYPE
from tests.serving.service import Client

fast = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

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
def test_any_json(every_type: Client, value: Any) -> None:
    judge(every_type, json.dumps(value).encode())


@fast
@given(
    st.binary(max_size=200) | st.text(st.sampled_from('{}[]":,payload0123e.-nulltrue \\'), max_size=80).map(str.encode)
)
def test_any_bytes(every_type: Client, body: bytes) -> None:
    judge(every_type, body)


@fast
@given(st.lists(good, min_size=1, max_size=5))
def test_what_the_signature_allows_is_always_answered(every_type: Client, batch: list[dict[str, Any]]) -> None:
    answer = every_type.predict(*batch)
    assert answer.status == 200, answer.text
    one_by_one = [every_type.predict(row).json["prediction"][0] for row in batch]
    assert answer.json["prediction"] == one_by_one


@fast
@given(st.floats(0, 60), st.none() | st.floats(0, 10), st.sampled_from(["high", "low", "medium", None]))
def test_the_answer_is_the_models(robots: Client, age: float, rust: float | None, battery: str | None) -> None:
    place = {"high": 0, "low": 1, "medium": 2, None: 0}[battery]
    score = 0.5 * (age + (rust or 0) + place)
    said = robots.predict({"robot-age": age, "rust-level": rust, "battery": battery}, query="?probabilities=1").json
    assert abs(said["probabilities"][0][0] - 1 / (1 + math.exp(4 - score))) < 2e-6


@fast
@given(st.binary(max_size=300))
def test_any_form(robots: Client, body: bytes) -> None:
    assert robots("POST", "/press", body, Content_Type="application/x-www-form-urlencoded").status in (200, 400)


@fast
@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"]), max_size=60))
def test_any_path(robots: Client, path: str) -> None:
    said = robots.raw(
        f"GET /{path} HTTP/1.1\r\nHost: localhost:{robots.port}\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    assert 200 <= int(said.split()[1]) < 500, said[:200]
