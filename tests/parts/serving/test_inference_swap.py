"""Versions come and go by the store's aliases, under load, without a lost request and with their memory given back."""

from pathlib import Path
from typing import Any

import pytest

from serving.inference import models
from tests.parts.serving.test_swap import ROW, check_swaps, swap_under_load
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.waiting import until


def serving(client: Client, model: str = "robots") -> Any:
    return {each["model"]: each["version"] for each in client.get("/healthz").json["models"]}.get(model)


def test_swaps_under_load_lose_no_request(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "odd", bias=40))
    with endpoint(deployment) as (_, client):
        check_swaps(swap_under_load(deployment, tmp_path, client, lambda: serving(client)))


def test_models_appear_and_disappear(deployment: Deployment, tmp_path: Path) -> None:
    with endpoint(deployment) as (_, client):
        assert client.predict(ROW).status == 503
        assert client.get("/v2/health/ready").status == 503
        deployment.publish(bundle(tmp_path / "one"))
        until(lambda: client.predict(ROW).status == 200)
        deployment.store.publish("other", bundle(tmp_path / "other"), {})
        deployment.store.promote("other", "1")
        until(lambda: serving(client, "other") == "1", models.NAMES_SECONDS + 20)
        deployment.store.drop("other", "champion", expected="1")
        until(lambda: client.post("/v1/models/other:predict", {"instances": [ROW]}).status == 404)
        assert client.predict(ROW).status == 200


def test_a_broken_champion_is_refused_and_the_version_before_keeps_serving(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    broken = bundle(tmp_path / "two")
    (broken / "model.onnx").write_bytes(b"no model")
    with endpoint(deployment) as (_, client):
        deployment.publish(broken)
        until(lambda: client.get("/healthz").json["models"][0]["refused"])
        assert list(client.get("/healthz").json["models"][0]["refused"]) == ["2"]
        assert client.predict(ROW).headers["x-model-version"] == "1"
        pinned = client.post("/v1/models/robots/versions/2:predict", {"instances": [ROW]})
        assert (pinned.status, "cannot be loaded" in pinned.error["message"]) == (503, True)
        deployment.publish(bundle(tmp_path / "three"))
        until(lambda: serving(client) == "3")


def test_versions_that_requests_name_are_limited(deployment: Deployment, tmp_path: Path) -> None:
    for number in range(7):
        deployment.publish(bundle(tmp_path / str(number)), promote=number == 0)
    with endpoint(deployment) as (service, client):
        for version in range(2, 8):
            answer = client.post(f"/v1/models/robots/versions/{version}:predict", {"instances": [ROW]})
            assert answer.headers["x-model-version"] == str(version)
        assert [version for _, version in service.models._pinned] == ["4", "5", "6", "7"][-models.PINNED :]


def test_a_start_without_the_store_serves_the_last_champion(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(tmp_path / "one")
    deployment.publish(folder)
    alias = deployment.store.resolve("robots")

    def unreachable(*_: Any) -> Any:
        raise OSError("the store is away")

    monkeypatch.setattr("pantheon.store.CurrentStore.names", unreachable)
    monkeypatch.setattr("pantheon.store.CurrentStore.remembered", lambda *_: (alias, folder))
    with endpoint(deployment) as (_, client):
        assert client.predict(ROW).status == 200
        assert client.get("/healthz").json["models"][0]["refused"] == {"": "the store is away"}
