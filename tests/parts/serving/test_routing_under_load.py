"""Policies change while clients ask: no request fails, and a sticky key moves only when its slot does."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.routing import operations as route
from pantheon.routing import policy as policies
from pantheon.routing.choose import Chooser
from pantheon.store import FolderStore
from tests.parts.serving.test_swap import ROW
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.waiting import until

CLIENTS = 4
PERCENT = [10, 30, 30, 60, 20, 100, 10]


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Iterator[tuple[Deployment, Client]]:
    """Version 1 is the champion, version 2 the challenger."""
    deployment.publish(bundle(tmp_path / "one", bias=-40))
    deployment.publish(bundle(tmp_path / "two", bias=40), promote=False)
    deployment.store.promote("robots", "2", "challenger")
    with endpoint(deployment) as (_, client):
        yield deployment, client


def expected(deployment: Deployment, customer: str) -> str:
    """Return the version that the stored policy gives a customer."""
    stored = deployment.store.policy("robots")
    policy = policies.read(stored, "robots") if stored else None
    chooser = Chooser(policy, {"champion": "1", "challenger": "2"}, {"1", "2"})
    return chooser.choose("", {"x-customer": customer}, "").version


def test_weights_change_under_load_without_a_failed_request(served: tuple[Deployment, Client]) -> None:
    deployment, client = served
    route.weights(deployment.store, "robots", {"challenger": PERCENT[0]})
    route.sticky(deployment.store, "robots", "x-customer")
    end = threading.Event()
    statuses: set[int] = set()
    answered: dict[str, list[str]] = defaultdict(list)  # versions by customer, one customer per client at a time
    customers = [f"customer-{number}" for number in range(40)]

    def work(mine: list[str]) -> None:
        while not end.is_set():
            for customer in mine:
                answer = client.post("/predict", {"payload": [ROW]}, x_customer=customer)
                statuses.add(answer.status)
                answered[customer].append(answer.headers.get("x-model-version", ""))

    threads = [threading.Thread(target=work, args=(customers[n::CLIENTS],)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        given = {customer: [expected(deployment, customer)] for customer in customers}
        for percent in PERCENT[1:]:
            before = {customer: len(answered[customer]) for customer in customers}
            route.weights(deployment.store, "robots", {"challenger": percent})
            for customer in customers:
                given[customer].append(expected(deployment, customer))
            until(lambda: all(answered[c][before[c] :][-1:] == [given[c][-1]] for c in customers))  # noqa: B023
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert statuses == {200}
    for customer in customers:
        # What it was answered by is what the policies gave it, one after the other, and nothing in between.
        assert changes(["1", *answered[customer]]) == changes(["1", *given[customer]]), customer


def changes(versions: list[str]) -> list[str]:
    """Return the sequence without repetitions of what came just before."""
    return [new for old, new in zip(["", *versions], versions, strict=False) if new != old]


def test_the_policy_from_before_counts_while_the_store_does_not_answer(
    served: tuple[Deployment, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, client = served

    def version() -> str:
        return client.post("/predict", {"payload": [ROW]}).headers["x-model-version"]

    def refused() -> dict[str, str]:
        found: dict[str, str] = client.get("/healthz").json["models"][0]["refused"]
        return found

    route.pin(deployment.store, "robots", "2")
    until(lambda: version() == "2")
    with monkeypatch.context() as patched:

        def down(self: FolderStore, name: str) -> None:
            raise PantheonError("S3 does not answer.", "", 1)

        patched.setattr(FolderStore, "policy", down)
        until(lambda: "S3 does not answer" in refused().get("policy", ""))
        assert version() == "2"
    until(lambda: not refused())
    assert version() == "2"
