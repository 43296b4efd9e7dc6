"""A model that never ends for some rows: these get 503 in time, and nobody else notices."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pantheon.deployment.predict import predict
from pantheon.errors import PantheonError
from serving.endpoint import lanes
from serving.model import predictor
from tests.support.bundles import bundle
from tests.support.button import Answer, Client, Deployment, serving
from tests.support.looping import endless

pytestmark = pytest.mark.slow

GOOD, BAD = {"robot-age": 5}, {"robot-age": 55}


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "SECONDS", 1.5)
        folder = tmp_path_factory.mktemp("endless")
        deployment = Deployment(folder / "state-folder")
        deployment.publish(endless(folder / "bundle"))
        with serving(deployment) as (_, client):
            yield client


def refused(answer: Answer) -> None:
    assert answer.status == 503
    assert "(version 1) had no prediction after 1.5 s and was stopped" in answer.error["message"]


def while_running(client: Client, *asking: Callable[[], Answer]) -> None:
    """Other requests are answered at once while these run, which are refused."""
    with ThreadPoolExecutor(len(asking)) as pool:
        running = [pool.submit(ask) for ask in asking]
        times = {"/healthz": [0.0], "/predict": [0.0]}
        while not all(future.done() for future in running):
            for path, ask in (("/healthz", lambda: client.get("/healthz")), ("/predict", lambda: client.predict(GOOD))):
                began = time.monotonic()
                assert ask().status == 200
                times[path].append(time.monotonic() - began)
        for future in running:
            refused(future.result())
    assert max(times["/healthz"]) < lanes.DIRECT_SECONDS + 0.4, times
    assert max(times["/predict"]) < lanes.DIRECT_SECONDS * 3 + 0.4, times  # its turn after bad rows that are tried


def test_an_endless_row_gets_503_and_holds_up_nobody(looping: Client) -> None:
    while_running(looping, lambda: looping.predict(BAD))
    while_running(looping, lambda: looping.predict(BAD))  # now in threads
    while_running(looping, lambda: looping.predict(BAD), lambda: looping.predict(BAD, query="?probabilities=0"))


def test_an_endless_row_in_a_batch_holds_up_neither_small_requests_nor_batches(looping: Client) -> None:
    def batch(count: int, *more: Any) -> Callable[[], Answer]:
        body = json.dumps({"payload": [GOOD] * count + list(more)})
        return lambda: looping("POST", "/predict", body, Content_Type="application/json")

    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(lambda: [batch(5000)().status for _ in iter(ended.is_set, True)])
        try:
            while_running(looping, batch(5000, BAD))
        finally:
            ended.set()
    assert set(others.result()) == {200}


def test_the_command_line_tells_the_reason(looping: Client) -> None:
    with pytest.raises(PantheonError) as caught:
        predict(f"http://127.0.0.1:{looping.port}", [BAD])
    assert "had no prediction after" in caught.value.cause
    assert not caught.value.cure


def test_the_page_tells_the_reason(looping: Client) -> None:
    answer = looping.form("/press", "in%3Arobot-age=55")
    assert answer.status == 200
    assert "had no prediction after" in answer.text


def test_a_model_that_is_endless_for_its_example_is_not_served(
    tmp_path: Path, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "SECONDS", 0.3)
    deployment.publish(bundle(tmp_path / "good", None, "regression"))
    with serving(deployment) as (button, client):
        deployment.publish(endless(tmp_path / "bad", above=1))
        button.champion.refresh()
        assert client.get("/healthz").json["version"] == "1"
        assert "had no prediction" in client.get("/healthz").json["refused"]["why"]
        assert client.predict(GOOD).status == 200
