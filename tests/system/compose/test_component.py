"""A component is data: a new one runs in a container of its own image without changes to Python files."""

import pytest

from pantheon.engines.compose.client import Api
from tests.support import lantern
from tests.support.compose import Composed, docker_command


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_made_up_component_runs_in_its_own_image(composed: Composed, docker: Api) -> None:
    composed.settings["PANTHEON_TIERS"] = str(lantern.TIERS)
    lantern.prove(composed, "compose")
    container = f"{composed.name}-lantern-1"
    assert composed.inspect(docker, "lantern")["Config"]["Image"].startswith("pantheon/lantern:")
    assert docker_command("exec", container, "readlink", "/opt/environment") == "serving\n"
    assert "etl.py" in docker_command("exec", container, "ls", "/app/dags")
