"""Whatever a client sends, the endpoint answers in JSON without an internal error, and logs it once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts.serving.test_inference_log import answers
from tests.support.bundles import EVERY_TYPE, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=8))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([entry["name"] for entry in EVERY_TYPE]) | st.text(max_size=5)
ROW = st.dictionaries(NAMES, SCALARS, max_size=9)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "datatype": st.sampled_from(["FP32", "FP64", "INT64", "BOOL", "BYTES", "FP128"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "data": st.lists(SCALARS, max_size=4) | JSON,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 9) | JSON, max_size=1),
    },
)
BODIES = {
    "/predict": st.fixed_dictionaries({"payload": st.lists(ROW, max_size=3) | JSON}),
    "/v1/models/every:predict": st.fixed_dictionaries({"instances": st.lists(ROW, max_size=3)}),
    "/v2/models/every/infer": st.fixed_dictionaries({"inputs": st.lists(TENSOR, max_size=4)}),
    "/feedback": st.dictionaries(st.sampled_from(["id", "row", "correct", "value"]), JSON),
}
REQUESTS = st.one_of([st.tuples(st.just(path), body | JSON) for path, body in BODIES.items()])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Client]]:
    folder = tmp_path_factory.mktemp("anything")
    deployment = Deployment(folder / "deployment", model="every")
    deployment.publish(bundle(folder / "every", EVERY_TYPE))
    with endpoint(deployment) as (_, client):
        yield deployment, client


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=REQUESTS)
def test_anything_is_answered(served: tuple[Deployment, Client], request: tuple[str, Any]) -> None:
    path, value = request
    answer = served[1]("POST", path, json.dumps(value), Content_Type="application/json")
    assert answer.status in (200, 400, 413, 422), (answer, request)
    assert isinstance(answer.json, dict)
    assert ("x-request-id" in answer.headers) == (path != "/feedback")


def test_each_of_them_was_logged_once(served: tuple[Deployment, Client]) -> None:
    ids = [entry.record.id for entry in answers(served[0])]
    assert len(ids) == len(set(ids)) > 100
