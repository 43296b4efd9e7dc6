"""One JupyterHub with TensorBoard, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from pantheon.engines.local import environments
from tests.support.command_line import assert_nothing_left
from tests.support.hub import ENVIRONMENTS, HUB_PORTS, Hub, Person
from tests.support.ports import free_port_offset


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    environments.make(ENVIRONMENTS)
    made = Hub(tmp_path_factory.mktemp("hub"), free_port_offset(HUB_PORTS))
    made.up()
    yield made
    made.engine().down()
    assert_nothing_left(made.folder)


@pytest.fixture(scope="package")
def people(hub: Hub) -> dict[str, Person]:
    """Somebody with each role in the profile ``team``, and an admin of another profile; all are logged in."""
    return {
        "view": hub.person("vera", team="view"),
        "edit": hub.person("ed", team="edit"),
        "admin": hub.person("ada", team="admin"),
        "": hub.person("otto", other="admin"),
    }
