"""The runtimes that TrainJobs may name, the images that are here, and the priorities: data beside this file."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.kubeflow.trainer.types import Container, FailurePolicy, Policy, RuntimeSpec, Volume

HERE = Path(__file__).parent
NODE = "node"
"""The name of the replicated job with the nodes, and of its container, as in all of Kubeflow's runtimes."""
IMAGES = {"pantheon/workflow": "WORKFLOW_ENVIRONMENT"}
"""Image, without a tag → the variable with the folder of the environment that it holds."""
PASSED = (
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "FEATURES_URL",
    "FEATURES_KEY_FILE",
    "WORKFLOW_MEMORY",
)
"""Variables of this service that nodes get: where services of the deployment are."""


@dataclass(frozen=True)
class Runtime:
    """A runtime for nodes; see ``runtimes/*.yaml``.

    Attributes:
        backoff_limit: how often nodes are started again, one at a time, before all of them have failed.
        failure_policy: what happens then; None: the TrainJob fails.
        grace: seconds from SIGTERM to SIGKILL.
    """

    name: str
    policy: Policy
    container: Container
    volumes: tuple[Volume, ...]
    backoff_limit: int
    failure_policy: FailurePolicy | None
    grace: int


@cache
def runtimes() -> dict[str, Runtime]:
    """Return every runtime by name."""
    return {
        each.name: each for path in sorted((HERE / "runtimes").glob("*.yaml")) for each in map(_runtime, _read(path))
    }


@cache
def priorities() -> dict[str, int]:
    """Return the value of every priority class by name."""
    return {each["metadata"]["name"]: each["value"] for each in _read(HERE / "priorities.yaml")}


def environment_of(image: str) -> str | None:
    """Return the folder of the environment that an image holds; None if the image is not here.

    Raises:
        PantheonError: this service does not know where the environment is.
    """
    name, _, _ = image.partition("@")
    if ":" in name.rpartition("/")[2]:
        name = name.rpartition(":")[0]
    variable = IMAGES.get(name)
    if variable is None:
        return None
    folder = os.environ.get(variable, "")
    if not folder:
        raise PantheonError(f"{variable} is not set: nodes run in the environment of the workflow.", "", 1)
    return folder


def _read(path: Path) -> list[dict[str, Any]]:
    import yaml

    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _runtime(manifest: dict[str, Any]) -> Runtime:
    spec = msgspec.convert(manifest["spec"], RuntimeSpec)
    (job,) = spec.template.spec.replicated_jobs
    pod = job.template.spec.template.spec
    (container,) = pod.containers
    return Runtime(
        manifest["metadata"]["name"],
        spec.ml_policy,
        container,
        tuple(pod.volumes),
        job.template.spec.backoff_limit,
        spec.template.spec.failure_policy,
        pod.termination_grace_period_seconds,
    )
