"""One button for robots serves all tests that only ask; tests that change the deployment make their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.serving.bundles import EVERY_TYPE, bundle
from tests.serving.service import Client, Deployment, serving


def _serve(folder: Path, *args: object) -> Iterator[Client]:
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "bundle", *args))  # type: ignore[arg-type]
    with serving(deployment) as (_, client):
        yield client


@pytest.fixture(scope="session")
def robots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from _serve(tmp_path_factory.mktemp("robots"))


@pytest.fixture(scope="session")
def every_type(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from _serve(tmp_path_factory.mktemp("every-type"), EVERY_TYPE)


@pytest.fixture(scope="session")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A regression."""
    yield from _serve(tmp_path_factory.mktemp("hours"), None, "regression")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """An empty deployment of one's own."""
    return Deployment(tmp_path / "deployment")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server, shared: one deployment after the other."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    server.stop()
