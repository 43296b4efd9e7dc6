"""The OpenAPI document matches the server: allowed requests are accepted, others are rejected."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.support.button import Client

load_all_checks()


@pytest.fixture(params=["robots", "every_type", "as_file", "hours"])
def service(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client


def test_it_is_valid_openapi(service: Client) -> None:
    schemathesis.openapi.from_dict(service.get("/openapi.json").json).validate()


def accepted(context: Any, response: Any, case: Any) -> bool | None:
    """Schemathesis' own check, but for what a pattern cannot say: that a text's number or day is in range."""
    if response.status_code == 422:
        error = response.json()["error"]
        (rows,) = case.body.values()
        row = rows[error["row"]]
        assert isinstance(row[error["field"]], str), (error, row)
        return None
    return positive_data_acceptance(context, response, case)


def refused(context: Any, response: Any, case: Any) -> bool | None:
    """Schemathesis' own check, which does not count 413 for too many rows as a refusal."""
    return None if response.status_code == 413 else negative_data_rejection(context, response, case)


CHECKED = [c for c in CHECKS.get_all() if c not in (positive_data_acceptance, negative_data_rejection)] + [refused]


def ask(operation: Any, mode: GenerationMode, checks: list[Any]) -> None:
    @settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(mode))
    def each(case: Any) -> None:
        case.call_and_validate(checks=checks)

    each()


@pytest.fixture
def schema(service: Client) -> Any:
    loaded = schemathesis.openapi.from_dict(service.get("/openapi.json").json)
    loaded.config.update(base_url=f"http://127.0.0.1:{service.port}", headers=service.headers)
    return loaded


def test_requests_that_it_allows_are_accepted(schema: Any) -> None:
    for path, operations in schema.items():
        for method in operations:
            ask(schema[path][method], GenerationMode.POSITIVE, [*CHECKED, accepted])


def test_requests_that_it_does_not_allow_are_rejected(schema: Any) -> None:
    ask(schema["/predict"]["POST"], GenerationMode.NEGATIVE, CHECKED)
