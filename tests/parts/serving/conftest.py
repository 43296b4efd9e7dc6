"""Read-only tests share one button for robots; tests that change the deployment create their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundles import AS_FILE, EVERY_TYPE, TEXT, bundle
from tests.support.button import Client, Deployment, serving


def _serve(folder: Path, *args: object, **given: object) -> Iterator[Client]:
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "bundle", *args, **given))  # type: ignore[arg-type]
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


@pytest.fixture(scope="session")
def as_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A model that reads texts as its training did."""
    yield from _serve(tmp_path_factory.mktemp("as-file"), AS_FILE, text=TEXT)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """An empty deployment for one test."""
    return Deployment(tmp_path / "deployment")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server, shared by consecutive deployments."""
    from moto.server import ThreadedMotoServer  # takes a second to import

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    server.stop()
