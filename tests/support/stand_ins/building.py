"""Build images that stand in for those of others, where no registry can be reached, from the local engine's wheels."""

import os
import subprocess
from pathlib import Path

from pantheon.engines.compose import images


def build(host: str, name: str, stand_in: str, **given: str) -> str:
    """Build the folder ``name`` beside this file as ``stand_in``, on top of our image ``name``.

    Args:
        host: of the engine, which DOCKER_HOST names, too.
        given: build arguments.
    """
    images.make([name])
    all_given = {"BASE": images.image_of(name), **given}
    arguments = [word for key, value in all_given.items() for word in ("--build-arg", f"{key}={value}")]
    folder = Path(__file__).parent / name
    subprocess.run(
        ["docker", "buildx", "build", "--load", "-q", "-t", stand_in, *arguments, str(folder)],
        env=os.environ | {"DOCKER_HOST": host},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return stand_in
