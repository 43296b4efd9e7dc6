"""The local engine: runs services as processes of this machine under a supervisor."""

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon.engines import Engine, Options

RANK = 10
ON_HOST = True


def available(environment: Mapping[str, str]) -> tuple[bool, str]:
    if platform.system() != "Linux":
        return False, "the local engine needs Linux"
    return True, "processes of this machine"


def create(options: "Options") -> "Engine":
    from pantheon.components import read
    from pantheon.engines.local.engine import LocalEngine
    from pantheon.engines.local.environments import folder_of, make

    components = read(options.definition)
    return LocalEngine(options, lambda name: folder_of(components.environment_of(name)), make)
