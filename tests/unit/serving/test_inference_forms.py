"""The two JSON forms: the raw rows for the log are exactly those of the request."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.inference.forms import PREDICT, V1
from serving.inference.targets import Target, target
from serving.model.predictor import Predictor
from serving.problems import Problem
from tests.support.bundles import bundle


@pytest.fixture(scope="module")
def robots(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(bundle(tmp_path_factory.mktemp("forms") / "b"), "robots", "1")


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=4)


@given(rows=ROWS, spaces=st.sampled_from(["", " ", "\n\t "]), escape=st.booleans())
def test_raw_rows_are_the_rows(robots: Predictor, rows: list[Any], spaces: str, escape: bool) -> None:
    for form in (PREDICT, V1):
        inside = json.dumps(rows, ensure_ascii=escape)
        body = f'{spaces}{{{spaces}"{form.question}"{spaces}:{spaces}{inside}{spaces}}}{spaces}'
        try:
            data = body.encode()
        except UnicodeEncodeError:
            continue
        asked = form.read(data, robots)
        assert asked.rows == rows
        assert asked.raw.decode() == inside


def test_what_is_sent_along_is_only_in_the_raw_rows(robots: Predictor) -> None:
    rows = b'[{"robot-age": 5, "context": {"region": "north", "customer": 4711}}, {"robot-age": 6}]'
    asked = V1.read(b'{"instances": ' + rows + b"}", robots)
    assert (asked.rows, asked.raw) == ([{"robot-age": 5}, {"robot-age": 6}], rows)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ('["north"]', "expected an object"),
        ('{"region": {"a": 1}}', "expected an object"),
        (json.dumps({"region": "x" * 201}), "expected an object"),
        ('{"": 1}', "expected an object"),
        (json.dumps({f"a{i}": 1 for i in range(21)}), "at most 20"),
        ('{"battery": "low"}', '"battery" is an input of the model'),
        ('{"a": 1, "a": 2}', "appears twice"),
        ('{"a": 1}, "context": {}', "appears twice"),
    ],
)
def test_something_else_sent_along_is_refused(robots: Predictor, given: str, why: str) -> None:
    body = '{"instances": [{"robot-age": 5, "context": ' + given + "}]}"
    with pytest.raises(Problem) as refused:
        V1.read(body.encode(), robots)
    assert why in refused.value.message


def test_an_input_of_that_name_stays_an_input(tmp_path: Path) -> None:
    named = [{"name": "context", "type": "category", "categories": ["a"], "nullable": True, "unknown": "refuse"}]
    asked = V1.read(b'{"instances": [{"context": "a"}]}', Predictor(bundle(tmp_path / "b", named), "m", "1"))
    assert asked.rows == [{"context": "a"}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"instances": 1}', 422),
        (b'{"instances": []}', 422),
        (b'{"instances": [{}], "signature_name": "x"}', 422),
        (b'{"instances": [{}], "instances": [{}]}', 400),
        (b'{"payload": [{}]}', 422),
    ],
)
def test_other_bodies_are_refused(robots: Predictor, body: bytes, status: int) -> None:
    with pytest.raises(Problem) as refused:
        V1.read(body, robots)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("/predict", Target("predict")),
        ("/v1/models/a:predict", Target("v1", "a")),
        ("/v1/models/a:explain", Target("explain", "a")),
        ("/v1/models/a", Target("v1 ready", "a")),
        ("/v1/models/a/versions/3:predict", Target("v1", "a", "3")),
        ("/v2/models/a", Target("describe", "a")),
        ("/v2/models/a/versions/3", Target("describe", "a", "3")),
        ("/v2/models/a/ready", Target("ready", "a")),
        ("/v2/models/a/versions/3/infer", Target("infer", "a", "3")),
        ("/v2/models/a/infer", Target("infer", "a")),
        ("/v2/models/a/b/infer", None),
        ("/v1/models/:predict", None),
        ("/predict/", None),
    ],
)
def test_paths(path: str, meaning: Target | None) -> None:
    assert target(path) == meaning
