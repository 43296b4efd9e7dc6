"""PostgreSQL's image where no registry can be reached: built from the wheel that the local engine uses."""

from pathlib import Path

from pantheon.engines.owner import owner_of
from tests.support.stand_ins import building

STAND_IN = "pantheon-test/postgres:18"


def build(host: str) -> str:
    """Build the stand-in in the engine at ``host``, which DOCKER_HOST names too; its name."""
    uid, _ = owner_of(Path("/"), rootless=False)
    return building.build(host, "postgres", STAND_IN, USERS_ID=str(uid))
