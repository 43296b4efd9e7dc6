"""Valkey's image where no registry can be reached: built from the wheel that the local engine uses."""

import os
import subprocess
from pathlib import Path

from pantheon.engines.compose import images

STAND_IN = "pantheon-test/valkey:9"


def build(host: str) -> str:
    """Build the stand-in in the engine at ``host``, which DOCKER_HOST names too; its name."""
    images.make(["valkey"])
    base = ["--build-arg", f"BASE={images.image_of('valkey')}"]
    folder = Path(__file__).parent / "valkey"
    subprocess.run(
        ["docker", "buildx", "build", "--load", "-q", "-t", STAND_IN, *base, str(folder)],
        env=os.environ | {"DOCKER_HOST": host},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return STAND_IN
