"""VARIANT=kserve by the command line, with models in S3 and a feature store: KServe's ModelServer behind the endpoint,
and back, without a lost request."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from pantheon.engines.local import environments
from pantheon.state import read_services
from tests.support.button import Client
from tests.support.command_line import Pantheon, make_pantheon
from tests.support.waiting import until
from tests.system.endpoint.test_endpoint import ROW, service


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    environments.make(["kserve"])
    made = make_pantheon(tmp_path_factory.mktemp("kserve") / "home", TRIALS="1")
    made("up", "hephaestus", "--without", "airflow,jupyter,dvc,monitoring", "--variant", "kserve")
    try:
        yield made
    finally:
        made("destroy", "--confirm", "yes")


@pytest.fixture(scope="module")
def client(made: Pantheon) -> Client:
    token = made("keys", "add", "shop").out.strip()
    client = Client(8085 + made.offset, {"Authorization": f"Bearer {token}"})
    until(lambda: client.predict(ROW).status == 200)
    return client


def answers_of(made: Pantheon) -> Any:
    """The answers to the questions, but for those about the newest request and about the present."""
    questions = made("ask", "--json").json["questions"]
    passing = ("request", "feedback", "features_at")
    return {each["id"]: each["answer"] for each in questions if each["id"] not in passing}


def kserve_of(client: Client) -> Any:
    return client.get("/healthz").json.get("kserve")


def test_kserve_predicts_and_is_not_published(made: Pantheon, client: Client) -> None:
    assert kserve_of(client) == {"address": f"http://127.0.0.1:{8087 + made.offset}", "problem": None}
    assert "s3://pantheon/models" in made("status").out
    listed = service(made, "kserve")
    assert (listed["state"], listed["address"]) == ("healthy", f"127.0.0.1:{8087 + made.offset}")
    assert (made.state / "secrets" / "kserve" / "token").stat().st_mode & 0o777 == 0o600
    assert Client(8087 + made.offset).get("/v2/models").status == 401


def test_kserve_predicts_from_features_of_the_store(made: Pantheon, client: Client) -> None:
    """The endpoint looks them up; KServe sees only values."""
    known = {row["view"]: row["features"] for row in made("features", "get", "robot-id=7", "--json").json["rows"]}
    values = {name: known["robots"][name.replace("-", "_")] for name in ROW}
    expected = client.predict(values, query="?probabilities=1")
    assert expected.status == 200
    answer = client.post("/predict?probabilities=1", {"entities": [{"robot-id": 7}]})
    assert (answer.status, answer.json) == (200, expected.json)


def test_a_killed_kserve_comes_back(made: Pantheon, client: Client) -> None:
    pid = next(each.pid for each in read_services(made.state).services if each.name == "kserve")
    psutil.Process(pid).kill()
    until(lambda: client.predict(ROW).status == 200)
    until(lambda: service(made, "kserve")["state"] == "healthy")


def test_the_variant_ends_and_returns_without_a_lost_request(made: Pantheon, client: Client) -> None:
    seen: Counter[tuple[int, bytes]] = Counter()
    end = threading.Event()

    def load() -> None:
        while not end.wait(0.01):
            answer = client.predict(ROW)
            seen[answer.status, answer.body] += 1

    with_kserve = answers_of(made)
    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load) for _ in range(3)]
        try:
            made("up", "hephaestus", "--variant", "none", "--no-run")
            assert kserve_of(client) is None
            assert "kserve" not in {each["name"] for each in made("status", "--json").json["services"]}
            assert answers_of(made) == with_kserve
            made("up", "hephaestus", "--variant", "kserve", "--no-run")
            assert kserve_of(client)["problem"] is None
        finally:
            end.set()
        for each in loads:
            each.result()
    assert len(seen) == 1, f"one answer, always: {seen}"
    assert next(iter(seen)) == (200, b'{"prediction":[0]}')
