"""Keys of the endpoint: who may ask what and how often, and changes that take effect at once."""

from pathlib import Path

import pytest

from pantheon import keys
from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, with_key
from tests.support.waiting import until

ROW = {"robot-age": 5}


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Deployment:
    deployment.publish(bundle(tmp_path / "robots"))
    deployment.store.publish("hours", bundle(tmp_path / "hours", ROBOTS[:1], "regression"), {})
    deployment.store.promote("hours", "1")
    return deployment


def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        for header in ("", "Bearer wrong", "Basic abc", "Bearer " + "x" * 1000):
            someone = Client(client.port, {"Authorization": header} if header else {})
            answer = someone.predict(ROW)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "key" in answer.error["message"]
            assert someone.post("/v1/models/nobody:predict", {"instances": [ROW]}).status == 401
            assert someone.get("/v2").status == 401


def test_a_key_for_one_model_opens_no_other_and_learns_nothing_of_it(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        scoped = with_key(served.folder, client, "hours-only", models=["hours"])
        until(lambda: scoped.get("/v1/models").status == 200)
        assert scoped.get("/v1/models").json == {"models": ["hours"]}
        assert scoped.post("/v1/models/hours:predict", {"instances": [ROW]}).status == 200
        for name in ("robots", "nobody"):
            assert scoped.post(f"/v1/models/{name}:predict", {"instances": [ROW]}).status == 403
            assert scoped.get(f"/v2/models/{name}").status == 403
        assert scoped.predict(ROW).status == 403
        assert scoped.get("/signature").status == 403


def test_a_limit_is_kept_exactly_and_says_when_to_come_back(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        limited = with_key(served.folder, client, "slow", per_minute=5)
        until(lambda: client.get("/healthz").json["keys"] == 2)
        statuses = [limited.predict(ROW).status for _ in range(8)]
        assert statuses == [200] * 5 + [429] * 3
        answer = limited.predict(ROW)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert "5 requests a minute" in answer.error["message"]
        assert client.predict(ROW).status == 200  # another key


def test_added_and_revoked_keys_take_effect(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        added = with_key(served.folder, client, "new")
        until(lambda: added.predict(ROW).status == 200)
        keys.revoke(served.folder, "new")
        until(lambda: added.predict(ROW).status == 401)


def test_a_damaged_file_keeps_the_keys_from_before_and_is_reported(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        keys.keys_file(served.folder).write_text("{")
        until(lambda: client.get("/healthz").json["problem"])
        assert client.predict(ROW).status == 200
        assert "keys.json is damaged" in client.get("/healthz").json["problem"]


def test_the_deployments_own_services_have_keys_as_secrets(served: Deployment) -> None:
    folder = served.folder / "secrets" / "endpoint_keys"
    folder.mkdir()
    (folder / "frontend").write_text("token-of-the-front-end\n")
    (folder / "metrics").write_text("token-of-the-metrics\n")
    with endpoint(served) as (_, client):
        assert Client(client.port, {"Authorization": "Bearer token-of-the-front-end"}).predict(ROW).status == 200
        assert Client(client.port, {"Authorization": "Bearer token-of-the-metrics"}).get("/metrics").status == 200
