"""The Helm engine: runs a tier on Kubernetes, with the user's `helm` and `kubectl`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon.engines import Engine, Options

RANK = 0  # a cluster is not this machine: only ENGINE=helm chooses it
ON_HOST = False


def available(environment: Mapping[str, str]) -> tuple[bool, str]:
    return False, "a cluster has to be chosen, with ENGINE=helm"


def create(options: "Options") -> "Engine":
    from pantheon.engines.compose import images as built
    from pantheon.engines.helm import images
    from pantheon.engines.helm.engine import HelmEngine

    return HelmEngine(options, built.tags(), images.provide)
