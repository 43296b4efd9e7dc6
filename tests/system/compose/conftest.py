"""Deployments in containers; skipped if no Docker engine answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api, DockerEngine
from tests.support.compose import (
    FOUND,
    Composed,
    Contained,
    clear,
    contained,
    inventory,
    make_composed,
    of_other_worker,
)
from tests.support.engines import FIXTURE
from tests.support.stand_ins import postgres_image as stand_in_postgres
from tests.support.stand_ins import s3_image as stand_in_s3
from tests.support.stand_ins import valkey_image as stand_in_valkey


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(FOUND, str) and item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.skip(reason=f"no Docker engine: {FOUND}"))


@pytest.fixture(scope="session")
def docker() -> Iterator[Api]:
    """The engine, also in DOCKER_HOST for all that is started. At the end nothing of ours may be left in it."""
    assert isinstance(FOUND, DockerEngine)
    api = Api(FOUND.host)
    before = inventory(api)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", FOUND.host)
        yield api
    assert {name for name in inventory(api) - before if not of_other_worker(name)} == set()


@pytest.fixture(scope="session")
def stand_in(docker: Api) -> None:
    """Images of others come from no registry here: they are built from the wheels that the local engine uses."""
    stand_in_postgres.build(docker.host)
    stand_in_s3.build(docker.host)
    stand_in_valkey.build(docker.host)


@pytest.fixture
def deployment(tmp_path: Path, docker: Api, stand_in: None) -> Iterator[Contained]:
    with contained(tmp_path, docker) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Contained]:
    """The three services up and healthy, for tests that only look at them."""
    with contained(tmp_path_factory.mktemp("standing"), docker) as made:
        made.engine(FIXTURE / "compose.yaml").up(made.events.append)
        yield made


@pytest.fixture
def composed(tmp_path: Path, docker: Api) -> Iterator[Composed]:
    """A home of its own for one test; what it brought up is destroyed."""
    made = make_composed(tmp_path / "home")
    yield made
    clear(made)


@pytest.fixture(scope="package")
def persephone(tmp_path_factory: pytest.TempPathFactory, docker: Api) -> Iterator[Composed]:
    """One deployment of persephone with its first model, shared by the tests that only look at it."""
    made = make_composed(tmp_path_factory.mktemp("composed"))
    try:
        made.first = made("up", "persephone", timeout=600, PANTHEON_ENGINE="")
        yield made
    finally:
        clear(made)
