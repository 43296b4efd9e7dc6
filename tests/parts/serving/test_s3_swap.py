"""The real button on a real S3: swaps within 2 s, goes on while S3 is away, starts without it, follows a move."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pantheon.files import write_json
from pantheon.state import set_served, write_store
from pantheon.store import FolderStore
from pantheon.store.move import relocate
from pantheon.store.s3.store import S3Store
from tests.support import ROOT
from tests.support import s3_servers as servers
from tests.support.bundles import bundle
from tests.support.button import Client
from tests.support.s3_servers import where
from tests.support.waiting import until

ROW = {"robot-age": 20}


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Weed]:
    with servers.weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def state(tmp_path: Path, seaweed: servers.Weed) -> Path:
    return deployment(tmp_path / "state-folder", seaweed)


def deployment(folder: Path, server: servers.Server) -> Path:
    """A deployment's state folder whose models lie in S3."""
    for name in ("state", "models", "runs", "secrets/s3"):
        (folder / name).mkdir(parents=True)
    (folder / "secrets" / "s3" / "credentials").write_text(servers.KEYS)
    write_json(folder / "state" / "deployment.json", {"tier": "persephone", "dataset": "robots"})
    set_served(folder, "robots")
    write_store(folder, where(server, server.bucket()))
    return folder


@contextmanager
def button(state: Path) -> Iterator[Client]:
    """The button as the engines start it: a process of its own."""
    (port,) = servers.free_ports(1)
    given = {"STATE_DIR": str(state), "BUTTON_HOST": "127.0.0.1", "BUTTON_PORT": str(port), "PYTHONPATH": str(ROOT)}
    given["AWS_SHARED_CREDENTIALS_FILE"] = str(state / "secrets" / "s3" / "credentials")
    process = subprocess.Popen([sys.executable, "-m", "serving.button"], env={**os.environ, **given}, cwd=ROOT)
    client = Client(port)
    try:
        until(lambda: health(client) is not None, 60)
        yield client
    finally:
        process.terminate()
        assert process.wait(60) == 0


def health(client: Client) -> Any:
    try:
        return client.get("/healthz").json
    except OSError:
        return None


def test_a_promotion_and_a_rollback_are_served(seaweed: servers.Weed, state: Path, tmp_path: Path) -> None:
    store = store_of(state, tmp_path)
    for number, bias in (("1", 40), ("2", -40)):
        store.publish("robots", bundle(tmp_path / number, bias=bias), {})
    store.promote("robots", "1")
    with button(state) as client:
        assert client.predict(ROW).json == {"prediction": [1]}
        store.promote("robots", "2")
        until(lambda: health(client)["version"] == "2")
        assert client.predict(ROW).json == {"prediction": [0]}
        store.rollback("robots")
        until(lambda: health(client)["version"] == "1")
        answer = client.predict(ROW)
        assert (answer.json, answer.headers["x-model-version"]) == ({"prediction": [1]}, "1")
        page = client.get("/").text
        assert "Version 1 is serving" in page


def test_what_is_deployed_goes_on_while_s3_is_away_and_starts_without_it(tmp_path: Path) -> None:
    (tmp_path / "weed").mkdir()
    with servers.weed(tmp_path / "weed") as server:
        state = deployment(tmp_path / "state-folder", server)
        store = store_of(state, tmp_path)
        for number, bias in (("1", 40), ("2", -40)):
            store.publish("robots", bundle(tmp_path / number, bias=bias), {})
        store.promote("robots", "2")
        with button(state) as client:
            assert client.predict(ROW).json == {"prediction": [0]}
            server.kill()
            until(lambda: health(client)["refused"])
            refused = health(client)["refused"]
            assert "does not answer" in refused["why"]
            assert server.endpoint in refused["why"]
            assert client.predict(ROW).json == {"prediction": [0]}
        with button(state) as client:  # a start without S3
            assert client.predict(ROW).json == {"prediction": [0]}
            assert health(client)["version"] == "2"
            assert "does not answer" in health(client)["refused"]["why"]
            page = client.get("/").text
            assert "Cannot check for a newer version" in page
            assert "does not answer" in page
            server.start()
            store.promote("robots", "1")
            until(lambda: health(client)["version"] == "1")
            until(lambda: health(client)["refused"] is None)
        copies = list((state / "models" / ".cache" / "robots").glob("1-*/model.onnx"))
        server.kill()
        copies[0].write_bytes(b"damaged")
        with button(state) as client:  # a damaged copy is no model
            answer = client.predict(ROW)
            assert answer.status == 503
            assert "does not answer" in answer.error["message"]


def test_no_request_is_lost_while_the_models_move(seaweed: servers.Weed, state: Path, tmp_path: Path) -> None:
    place = where(seaweed, seaweed.bucket())
    (state / "state" / "store.json").unlink()
    folder = FolderStore(state / "models")
    for number, bias in (("1", 40), ("2", -40)):
        folder.publish("robots", bundle(tmp_path / number, bias=bias), {})
    folder.promote("robots", "2")
    answers: list[tuple[int, bytes]] = []
    end = threading.Event()

    def load(client: Client) -> None:
        while not end.is_set():
            answer = client.predict(ROW)
            answers.append((answer.status, answer.body))
            end.wait(0.005)

    with button(state) as client:
        thread = threading.Thread(target=load, args=(client,))
        thread.start()
        assert relocate(state, place) == {"robots": 2}
        kept = state / "models" / ".cache" / "robots" / "champion.json"
        until(kept.exists)  # the button has seen the move, and keeps a copy
        assert set(answers) == {(200, b'{"prediction":[0]}')}
        store_of(state, tmp_path).promote("robots", "1")
        until(lambda: health(client)["version"] == "1")
        assert relocate(state, None) == {"robots": 2}
        end.set()
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert folder.resolve("robots").version == "1"


def store_of(state: Path, tmp_path: Path) -> S3Store:
    """The deployment's store as another machine has it."""
    from pantheon.state import read_store
    from pantheon.store.current import store_at

    store = store_at(state, read_store(state), host=True)
    assert isinstance(store, S3Store)
    bucket = store.bucket
    return S3Store(
        bucket.name, endpoint=bucket.endpoint, credentials=bucket.credentials, cache=tmp_path / "another-machine"
    )
