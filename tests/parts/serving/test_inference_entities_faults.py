"""Valkey is killed, restarted, hangs, refuses the password: no request waits long, and plain requests do not notice."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.routing.policy import SLOTS
from serving.inference.service import Endpoint
from tests.parts.serving.test_inference_log import answers
from tests.parts.serving.test_inference_routing import route
from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.button import Answer, Client, Deployment
from tests.support.endpoint import endpoint
from tests.support.feast_bytes import INPUTS, with_features
from tests.support.feature_servers import PASSWORD
from tests.support.online import Server, valkey
from tests.support.waiting import until

STORED = {"robot_age": 5.0, "rust_level": 9.0, "battery": "low"}
PLAIN = {"robot-age": 0}
HALVES = ((SLOTS // 2, "champion"), (SLOTS, "2"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    with valkey(tmp_path / "valkey") as server:
        server.put("7", STORED)
        yield server


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path, store: Server) -> Iterator[tuple[Endpoint, Client]]:
    deployment.publish(with_features(bundle(tmp_path / "robots")))
    with endpoint(deployment, online=store.online()) as (service, client):
        yield service, client


def ask(client: Client, id: object = 7) -> Answer:
    return client.post("/predict", {"entities": [{"robot-id": id}]})


def answered(client: Client) -> bool:
    return ask(client).status == 200


def test_a_killed_valkey_is_an_error_until_it_is_back(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    assert ask(client).json == {"prediction": [0]}
    store.kill()
    answer = ask(client)
    assert (answer.status, int(answer.headers["retry-after"])) == (503, 1)
    assert "The feature store (Valkey) does not answer: " in answer.error["message"]
    assert client.predict(PLAIN).status == 200
    assert client.get("/healthz").json["features"]["problem"]
    assert client.get("/v2/health/ready").status == 200, "plain requests are answered"
    store.start()
    until(lambda: answered(client), what="features are read again")
    assert client.get("/healthz").json["features"] == {"address": f"127.0.0.1:{store.port}", "problem": None}


def test_a_restart_between_two_requests_is_not_noticed(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    assert answered(client)
    store.kill()
    store.start()
    assert answered(client), "its old connection is lost, and another one is made"


def test_a_valkey_that_hangs_holds_up_nobody_for_long(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    assert answered(client)
    store.signal(signal.SIGSTOP)
    found: list[Answer] = []
    asking = [threading.Thread(target=lambda: found.append(ask(client))) for _ in range(8)]
    for thread in asking:
        thread.start()
    plain = [client.predict(PLAIN).status for _ in range(20)]
    for thread in asking:
        thread.join(30)
    assert [answer.status for answer in found] == [503] * 8
    assert plain == [200] * 20
    assert "no answer within 1 s" in ask(client).error["message"]
    store.signal(signal.SIGCONT)
    until(lambda: answered(client), what="features are read again")


def test_another_password_is_read_when_it_has_changed(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    store.password_file.write_text("wrong")
    assert "WRONGPASS" in ask(client).error["message"]
    store.password_file.write_text(PASSWORD)
    until(lambda: answered(client), what="features are read again")


def test_without_a_valkey_entities_are_an_error(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(with_features(bundle(tmp_path / "robots")))
    with endpoint(deployment) as (_, client):
        answer = ask(client)
        assert answer.status == 503
        assert "no feature store" in answer.error["message"]
        assert client.predict(PLAIN).status == 200
        assert client.post("/v1/models/robots:predict", {"instances": [PLAIN]}).status == 200


def test_a_write_is_seen_by_the_next_request(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    store.put("9", STORED)
    assert ask(client, 9).json == {"prediction": [0]}
    store.put("9", STORED | {"robot_age": 0.0, "rust_level": 0.0, "battery": "high"})
    assert ask(client, 9).json == {"prediction": [1]}


def test_a_shadow_reads_features_of_its_own(deployment: Deployment, tmp_path: Path, store: Server) -> None:
    renamed = INPUTS | {"battery": ("charge", "text")}
    deployment.publish(with_features(bundle(tmp_path / "one")))
    deployment.publish(with_features(bundle(tmp_path / "two"), inputs=renamed, view="robots_2"), promote=False)
    deployment.publish(bundle(tmp_path / "three"), promote=False)
    store.put("7", {"robot_age": 0.0, "rust_level": 0.0, "charge": "high"}, view="robots_2")
    store.put("8", STORED)
    with endpoint(deployment, online=store.online()) as (service, client):
        route(deployment, shadows=("2", "3"))
        until(lambda: service.models.of("robots").policy, what="the policy is read")
        assert ask(client, 7).json == {"prediction": [0]}
        assert ask(client, 8).json == {"prediction": [0]}
        until(lambda: sum(service.metrics.events[f"shadow {kind}"] for kind in ("answered", "refused")) == 4)
    found = {(entry.record.version, entry.rows[:30]): entry for entry in answers(deployment) if entry.record.shadow}
    assert len(found) == 4
    shadows = [entry for entry in answers(deployment) if entry.record.shadow and entry.record.version == "2"]
    assert shadows[0].answer.startswith(b'{"prediction":[1]')
    assert b'"robots_2"' in shadows[0].rows
    assert 'the view "robots_2" knows no robot-id "8"' in shadows[1].record.error
    assert b'"_features":{"entity":{"robot-id":"8"}}' in shadows[1].rows, "by which it can be forgotten"
    without = [entry.record for entry in answers(deployment) if entry.record.shadow and entry.record.version == "3"]
    assert all("trained without a feature store" in record.error for record in without)


def test_a_sticky_key_chooses_the_version_and_that_version_its_view(
    deployment: Deployment, tmp_path: Path, store: Server
) -> None:
    deployment.publish(with_features(bundle(tmp_path / "one")))
    deployment.publish(with_features(bundle(tmp_path / "two"), view="robots_2"), promote=False)
    store.put("7", STORED | {"robot_age": 0.0, "rust_level": 0.0, "battery": "high"}, view="robots_2")
    with endpoint(deployment, online=store.online()) as (service, client):
        route(deployment, split=HALVES, sticky="x-customer")
        until(lambda: service.models.of("robots").policy, what="the policy is read")
        for customer in range(12):
            both = [
                client.post("/predict", {"entities": [{"robot-id": 7}]}, x_customer=str(customer)) for _ in range(2)
            ]
            assert {answer.headers["x-model-version"] for answer in both} in ({"1"}, {"2"})
            for answer in both:
                assert answer.json == {"prediction": [0 if answer.headers["x-model-version"] == "1" else 1]}


def test_an_endpoint_without_features_loads_nothing_for_them() -> None:
    """Memory of the tiers before: what reads Valkey is imported when the first entity is looked up."""
    code = "import serving.inference.__main__, sys; print({'hiredis', 'mmh3', 'redis', 'feast'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


def test_one_thread_waits_for_a_valkey_that_is_away(served: tuple[Endpoint, Client], store: Server) -> None:
    _, client = served
    store.kill()
    assert [ask(client).status for _ in range(5)] == [503] * 5
    assert sum(thread.name == "valkey" for thread in threading.enumerate()) == 1
    store.start()
    until(lambda: answered(client), what="features are read again")
    until(lambda: all(thread.name != "valkey" for thread in threading.enumerate()), what="the thread ends")
