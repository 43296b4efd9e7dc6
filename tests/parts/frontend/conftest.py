"""Tests that only read share one front end for robots; those that kill something start their own."""

from collections.abc import Iterator

import pytest

from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.frontend import Both, Visitor, both
from tests.support.waiting import until


@pytest.fixture(scope="session")
def robots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("frontend")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "bundle"))
    with both(deployment, folder / "frontend") as started:
        yield started


@pytest.fixture
def visitor(robots: Both) -> Visitor:
    return Visitor(robots.frontend.client)


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Two processes that tests kill; see ``own``."""
    folder = tmp_path_factory.mktemp("fragile")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "bundle"))
    with both(deployment, folder / "frontend") as started:
        yield started


@pytest.fixture
def own(fragile: Both) -> Both:
    """Both processes, alive, with nothing to deliver, for a test that may kill them."""
    fragile.start()
    until(lambda: not fragile.waiting() and not fragile.frontend.client.get("/status").json["away"])
    return fragile
