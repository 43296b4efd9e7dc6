"""The real endpoint on a real S3: swaps within 2 s, goes on while S3 is away, and starts without it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pantheon import keys
from tests.parts.serving.test_s3_swap import ROW, deployment, store_of
from tests.support import s3_servers as servers
from tests.support.bundles import bundle
from tests.support.button import Client
from tests.support.endpoint import process
from tests.support.waiting import until


@pytest.fixture
def seaweed(tmp_path: Path) -> Iterator[servers.Weed]:
    (tmp_path / "weed").mkdir()
    with servers.weed(tmp_path / "weed") as server:
        yield server


def robots(client: Client) -> Any:
    return client.get("/healthz").json["models"][0]


def test_swaps_and_a_store_that_is_away(seaweed: servers.Weed, tmp_path: Path) -> None:
    state = deployment(tmp_path / "state-folder", seaweed)
    store = store_of(state, tmp_path)
    for number, bias in (("1", 40), ("2", -40)):
        store.publish("robots", bundle(tmp_path / number, bias=bias), {})
    store.promote("robots", "1")
    given = {"AWS_SHARED_CREDENTIALS_FILE": str(state / "secrets" / "s3" / "credentials")}
    with process(state, **given) as (_, client):
        assert client.predict(ROW).json == {"prediction": [1]}
        store.promote("robots", "2")
        until(lambda: robots(client)["version"] == "2")
        seaweed.kill()
        until(lambda: robots(client)["refused"])
        assert "does not answer" in robots(client)["refused"][""]
        assert client.predict(ROW).json == {"prediction": [0]}
        keys.add(state, "another")
        until(lambda: client.get("/healthz").json["keys"] == 2), "keys do not wait for the store"
    with process(state, **given) as (_, client):  # a start without S3
        assert (client.predict(ROW).json, robots(client)["version"]) == ({"prediction": [0]}, "2")
        seaweed.start()
        store.promote("robots", "1")
        until(lambda: robots(client)["version"] == "1")
        until(lambda: not robots(client)["refused"])
