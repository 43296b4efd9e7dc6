"""Deployments at odysseus without services: one on SeaweedFS with a trained run, one on moto."""

from collections.abc import Iterator

import pytest

from pantheon.files import write_json
from pantheon.versioning.commands import Git
from pantheon.versioning.record import Record
from pantheon.workflow.run import Params, Run
from tests.support import s3_servers as servers
from tests.support.versioning import SPEC, Deployment, made


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with servers.weed(tmp_path_factory.mktemp("weed")) as server:
        yield made(tmp_path_factory.mktemp("odysseus"), server)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The same on moto, for runs that are never trained."""
    with servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield made(tmp_path_factory.mktemp("odysseus"), server)


@pytest.fixture(scope="module")
def first(light: Deployment) -> Record:
    return light.record(light.finished("20260101-000000-0000")).record


@pytest.fixture
def clean(light: Deployment, first: Record) -> Iterator[Git]:
    """The user's work tree, clean on main at the newest run before and after; a branch "theirs" is removed."""
    yield light.git
    light.clean()


@pytest.fixture(scope="module")
def trained(deployment: Deployment) -> Run:
    """A whole run, by the command that every engine runs: trained, recorded in DVC, deployed to S3."""
    run = Run.create(deployment.state, SPEC, "robots", Params(trials=2), tier="odysseus", runner="graph")
    events = deployment.tasks("run", "--run", run.id)
    write_json(run.path("events.json"), events)
    return run
