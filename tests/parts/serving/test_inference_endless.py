"""A model that never ends for some rows: the endpoint answers 503 in time, logs that once, and holds up nobody else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.routing.policy import Policy, as_json
from pantheon.store import ANY, StoredPolicy
from serving.inference.service import Endpoint
from serving.model import predictor
from tests.parts.serving.test_inference_log import answers
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.looping import endless
from tests.support.waiting import until

GOOD, BAD = {"robot-age": 5}, {"robot-age": 55}


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "SECONDS", 8.0)


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path, patched: None) -> Iterator[tuple[Deployment, Endpoint, Client]]:
    """Version 1 never ends for ``BAD``, version 2 does."""
    deployment.publish(endless(tmp_path / "one"))
    deployment.publish(bundle(tmp_path / "two", None, "regression"), promote=False)
    deployment.store.promote("robots", "2", "challenger")
    with endpoint(deployment) as (service, client):
        yield deployment, service, client


def test_an_endless_row_gets_503_is_logged_once_and_holds_up_nobody(
    served: tuple[Deployment, Endpoint, Client],
) -> None:
    deployment, _, client = served
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.predict, BAD)
        other = client.post("/v1/models/robots/versions/2:predict", {"instances": [BAD]})
        assert other.status == 200
        assert not slow.done()
        refused = slow.result()
    assert refused.status == 503
    assert "was stopped" in refused.error["message"]
    logged = {entry.record.id: entry.record for entry in answers(deployment)}
    assert len(logged) == len(answers(deployment)) == 2
    assert logged[refused.headers["x-request-id"]].status == 503


def test_an_endless_shadow_is_stopped_and_changes_nothing(served: tuple[Deployment, Endpoint, Client]) -> None:
    deployment, service, client = served
    policy = Policy("robots", pin="2", shadows=("1",))
    deployment.store.swap_policy("robots", StoredPolicy.new(as_json(policy), policy.versions), ANY)
    until(lambda: service.models.hosted["robots"].policy)
    assert {client.predict(BAD).status for _ in range(3)} == {200}
    until(lambda: service.metrics.events["shadow refused"] == 3)
    records = [entry.record for entry in answers(deployment)]
    assert sorted((record.shadow, record.version, record.status) for record in records) == [
        *[(False, "2", 200)] * 3,
        *[(True, "1", 503)] * 3,
    ]
    assert {record.id for record in records if record.shadow} == {record.id for record in records if not record.shadow}
