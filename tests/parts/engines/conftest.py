"""Deployments of the fixture services on the local engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.engines import FIXTURE, Deployment, making


@pytest.fixture
def deployments(tmp_path: Path) -> Iterator[Callable[[str], Deployment]]:
    with making(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The three services up and healthy, for tests that only look at them."""
    with making(tmp_path_factory.mktemp("standing")) as make:
        deployment = make("standing")
        deployment.engine(FIXTURE / "compose.yaml").up(deployment.events.append)
        yield deployment


@pytest.fixture
def deployment(deployments: Callable[[str], Deployment]) -> Deployment:
    return deployments("test")


@pytest.fixture
def port(deployment: Deployment) -> int:
    """A free port."""
    return 8091 + deployment.offset
