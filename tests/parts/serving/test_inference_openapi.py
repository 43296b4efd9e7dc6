"""The endpoint's OpenAPI document matches the server, for each model that the key opens."""

from collections.abc import Iterator

import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.parts.serving.test_openapi import CHECKED, accepted, ask
from tests.support.bundles import EVERY_TYPE, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, with_key
from tests.support.waiting import until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Client]]:
    folder = tmp_path_factory.mktemp("documents")
    deployment = Deployment(folder / "deployment")
    deployment.publish(bundle(folder / "robots"))
    deployment.store.publish("every", bundle(folder / "every", EVERY_TYPE), {})
    deployment.store.promote("every", "1")
    with endpoint(deployment) as (_, client):
        yield deployment, client


def test_it_is_valid_and_has_every_model(served: tuple[Deployment, Client]) -> None:
    document = served[1].get("/openapi.json").json
    schemathesis.openapi.from_dict(document).validate()
    assert {"/predict", "/v1/models/robots:predict", "/v2/models/every/infer", "/feedback"} <= set(document["paths"])
    assert document["components"]["schemas"]["Row-robots"]["required"] == ["robot-age"]


def test_a_key_sees_only_its_models(served: tuple[Deployment, Client]) -> None:
    deployment, client = served
    scoped = with_key(deployment.folder, client, "scoped", models=["every"])
    until(lambda: scoped.get("/openapi.json").status == 200)
    document = scoped.get("/openapi.json").json
    assert "robots" not in str(document)
    assert "/v1/models/every:predict" in document["paths"]


@pytest.mark.parametrize("path", ["/predict", "/v1/models/robots:predict", "/v1/models/every:predict"])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_are_answered_as_it_says(served: tuple[Deployment, Client], path: str, mode: GenerationMode) -> None:
    client = served[1]
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
    schema.config.update(base_url=f"http://127.0.0.1:{client.port}", headers=client.headers)

    checks = [*CHECKED, accepted] if mode is GenerationMode.POSITIVE else CHECKED
    ask(schema[path]["POST"], mode, checks)
