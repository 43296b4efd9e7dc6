"""S3 servers that the tests of one worker share, and a small bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.store import ModelStore
from tests.store import servers
from tests.store.places import STORES, Place


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Weed]:
    with servers.weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "plots").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"onnx" * 1000)
    (folder / "signature.json").write_text("{}")
    (folder / "plots" / "roc.svg").write_text("<svg/>")
    return folder


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
