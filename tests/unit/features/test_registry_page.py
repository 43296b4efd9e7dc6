"""Feast's web interface shows the registry and does not change it."""

from typing import Any

import pytest

from pantheon.features.login import answer
from pantheon.features.registry_page import ShownOnly
from tests.support.asgi import call

KINDS = ("data_sources", "entities", "feature_services", "feature_views", "permissions", "saved_datasets")


async def app(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 200, b"feast", "text/plain")


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_change_a_definition_is_refused_in_words(kind: str) -> None:
    for method, path in (("POST", f"/api/v1/{kind}"), ("DELETE", f"/api/v1/{kind}/robots"), ("PUT", f"/api/v1/{kind}")):
        refused = call(ShownOnly(app), method, path)
        assert refused.status == 403
        assert "`bin/pantheon feast delete NAME`" in refused.body.decode()
    assert call(ShownOnly(app), "POST", "/api/v1/saved_datasets/create").status == 403


def test_everything_else_passes() -> None:
    for kind in KINDS:
        for path in (f"/api/v1/{kind}", f"/api/v1/{kind}/robots", f"/p/pantheon/{kind}"):
            assert call(ShownOnly(app), "GET", path).status == 200
    for path in ("/api/v1/list-labels", "/api/v1/registry/refresh"):
        assert call(ShownOnly(app), "POST", path).status == 200
