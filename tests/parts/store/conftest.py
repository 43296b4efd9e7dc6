"""S3 servers that the tests of one worker share, and a small bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.store import ModelStore
from tests.support import s3_servers as servers
from tests.support.stores import STORES, Place, bundle


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Weed]:
    with servers.weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place("folder", tmp_path / "models")
    server = request.getfixturevalue("seaweed" if request.param == "seaweedfs" else "moto")
    (tmp_path / "caches").mkdir()
    return Place(request.param, tmp_path / "caches", server.bucket(), server.endpoint, server.credentials)


@pytest.fixture
def store(place: Place) -> ModelStore:
    return place.open()


__all__ = ["bundle"]
