"""Valkey's image where no registry can be reached: built from the wheel that the local engine uses."""

from tests.support.stand_ins import building

STAND_IN = "pantheon-test/valkey:9"


def build(host: str) -> str:
    """Build the stand-in in the engine at ``host``, which DOCKER_HOST names too; its name."""
    return building.build(host, "valkey", STAND_IN)
