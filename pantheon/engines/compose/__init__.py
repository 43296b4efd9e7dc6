"""The Compose engine: runs services as containers."""

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon.engines import Engine, Options

RANK = 20
ON_HOST = False


def available(environment: Mapping[str, str]) -> tuple[bool, str]:
    from pantheon.engines.compose import client
    from pantheon.errors import PantheonError

    try:
        engine = client.find(environment)
    except PantheonError:
        return False, "no Docker engine answers here"
    if not shutil.which("docker"):
        return False, "the docker command, which builds images, is not installed"
    return True, f"containers, since a Docker engine answers here ({engine.version})"


def create(options: "Options") -> "Engine":
    from pantheon.engines.compose import images
    from pantheon.engines.compose.engine import ComposeEngine

    return ComposeEngine(options, images.tags(), images.provide, images.ca_file(options.environment))
