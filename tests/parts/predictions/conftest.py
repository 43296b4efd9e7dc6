"""Where the log may be: a folder, and S3 servers of two makers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.predictions.place import Place, open_place
from pantheon.state import write_store
from tests.support import predictions
from tests.support import s3_servers as servers

early_enough = pytest.fixture(autouse=True)(predictions.early_enough)
KINDS = ("folder", "moto", "seaweedfs")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Weed]:
    with servers.weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(params=KINDS)
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment's folder whose models are in one of these places."""
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    state = tmp_path / "state"
    if request.param == "folder":
        (state / "state").mkdir(parents=True)
        return state
    server: servers.Server = request.getfixturevalue("moto" if request.param == "moto" else "seaweed")
    servers.deployment(state, server)
    write_store(state, servers.where(server, server.bucket()))
    return state


@pytest.fixture
def place(state: Path) -> Place:
    return open_place(state)
