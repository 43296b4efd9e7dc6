"""Trainer's fields (``trainer.kubeflow.org/v1alpha1``), as Trainer 2.3 defines them.

Parts of which nothing is used here stay as they are given, and are refused elsewhere: they need a cluster.
"""

from typing import Any

import msgspec

Quantity = str | int | float  # "500m", "2", 2


class Struct(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A mapping with these fields only."""


class Variable(Struct):
    name: str
    value: str = ""
    value_from: Any = None


class Resources(Struct):
    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None
    claims: Any = None


class Trainer(Struct):
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[Variable] | None = None
    num_nodes: int | None = None
    resources_per_node: Resources | None = None
    num_proc_per_node: int | None = None


class RuntimeRef(Struct):
    name: str
    api_group: str | None = None
    kind: str | None = None


class Initializer(Struct):
    dataset: Any = None
    model: Any = None


class Mount(Struct):
    name: str
    mount_path: str


class Claim(Struct):
    claim_name: str


class Volume(Struct):
    name: str
    persistent_volume_claim: Claim


class Container(Struct):
    """The container of a runtime's nodes."""

    name: str
    image: str
    command: list[str] = []
    args: list[str] = []
    env: list[Variable] = []
    resources: Resources | None = None
    volume_mounts: list[Mount] = []


class PodSpec(Struct):
    containers: list[Container]
    volumes: list[Volume] = []
    restart_policy: str = "OnFailure"
    termination_grace_period_seconds: int = 30


class PodTemplate(Struct):
    spec: PodSpec
    metadata: Any = None


class JobSpec(Struct):
    template: PodTemplate
    backoff_limit: int = 6


class JobTemplate(Struct):
    spec: JobSpec
    metadata: Any = None


class ReplicatedJob(Struct):
    name: str
    template: JobTemplate


class FailurePolicy(Struct):
    max_restarts: int = 0


class JobSetSpec(Struct):
    replicated_jobs: list[ReplicatedJob]
    failure_policy: FailurePolicy | None = None


class JobSetTemplate(Struct):
    spec: JobSetSpec


class Policy(Struct):
    """How nodes learn about each other: at most one of ``torch``, ``jax`` and ``xgboost``."""

    num_nodes: int = 1
    torch: dict[str, Any] | None = None
    jax: dict[str, Any] | None = None
    xgboost: dict[str, Any] | None = None


class RuntimeSpec(Struct):
    ml_policy: Policy
    template: JobSetTemplate


class PodSpecPatch(Struct):
    termination_grace_period_seconds: int | None = None
    service_account_name: Any = None
    volumes: Any = None
    init_containers: Any = None
    containers: Any = None
    image_pull_secrets: Any = None
    security_context: Any = None
    node_selector: Any = None
    affinity: Any = None
    tolerations: Any = None
    scheduling_gates: Any = None


class PodPatch(Struct):
    metadata: Any = None
    spec: PodSpecPatch | None = None


class JobSpecPatch(Struct):
    template: PodPatch | None = None


class JobPatch(Struct):
    metadata: Any = None
    spec: JobSpecPatch | None = None


class ReplicatedJobPatch(Struct):
    name: str
    template: JobPatch | None = None


class JobSetSpecPatch(Struct):
    replicated_jobs: list[ReplicatedJobPatch] | None = None


class JobSetPatch(Struct):
    metadata: Any = None
    spec: JobSetSpecPatch | None = None


class RuntimeSpecPatch(Struct):
    template: JobSetPatch | None = None


class RuntimePatch(Struct):
    manager: str
    time: Any = None
    training_runtime_spec: RuntimeSpecPatch | None = None


class TrainJobSpec(Struct):
    runtime_ref: RuntimeRef
    initializer: Initializer | None = None
    trainer: Trainer | None = None
    runtime_patches: list[RuntimePatch] | None = None
    suspend: bool | None = None
    active_deadline_seconds: int | None = None
    managed_by: str | None = None
