"""PostgreSQL's image where no registry can be reached: built from the wheel that the local engine uses."""

import os
import subprocess
from pathlib import Path

from pantheon.engines.compose import images
from pantheon.engines.owner import owner_of

STAND_IN = "pantheon-test/postgres:18"


def build(host: str) -> str:
    """Build the stand-in in the engine at ``host``, which DOCKER_HOST names too; its name."""
    images.make(["postgres"])
    uid, _ = owner_of(Path("/"), rootless=False)
    given = {"BASE": images.image_of("postgres"), "USERS_ID": str(uid)}
    arguments = [word for key, value in given.items() for word in ("--build-arg", f"{key}={value}")]
    folder = Path(__file__).parent / "postgres"
    subprocess.run(
        ["docker", "buildx", "build", "--load", "-q", "-t", STAND_IN, *arguments, str(folder)],
        env=os.environ | {"DOCKER_HOST": host},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return STAND_IN
