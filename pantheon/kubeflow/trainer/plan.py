"""Check a TrainJob, and plan its nodes."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from pantheon.kubeflow.contract import Object, Refused
from pantheon.kubeflow.trainer.runtimes import IMAGES, NODE, Runtime, environment_of, priorities, runtimes
from pantheon.kubeflow.trainer.types import (
    FailurePolicy,
    Mount,
    Resources,
    RuntimePatch,
    RuntimeRef,
    Trainer,
    TrainJobSpec,
    Variable,
    Volume,
)
from pantheon.kubeflow.validation import convert, hint, listed

PRIORITY = "kueue.x-k8s.io/priority-class"
MANAGER = "trainer.kubeflow.org/trainjob-controller"
GROUP = "trainer.kubeflow.org"
RESERVED = {
    "torch": ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"),
    "xgboost": ("DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"),
}
NEEDS_CLUSTER = "needs a cluster: here, nodes are processes of this machine."
IMMUTABLE = ("runtimeRef", "initializer", "trainer", "activeDeadlineSeconds", "managedBy")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_NODES, MOST_WORDS, MOST_SECONDS = 256, 128, 10**9
UNITS = {"": "1", "m": "0.001", "k": "1e3", "M": "1e6", "G": "1e9", "Ki": "1024", "Mi": "1048576", "Gi": "1073741824"}


@dataclass(frozen=True)
class Plan:
    """What to run for a TrainJob.

    Attributes:
        kind: how nodes learn about each other: torch, jax, xgboost, or empty.
        nodes: how many there are.
        processes: ``PET_NPROC_PER_NODE``: how many a node starts by itself.
        command: the program and its arguments, with ``$(VAR)``.
        variables: of the runtime and of the TrainJob.
        told: whether nodes get the variables of ``kind``: Trainer sets them only if the TrainJob has a ``trainer``.
        environment: the folder of the environment that the image holds.
        slots: of the machine, for all nodes together.
        grace: seconds from SIGTERM to SIGKILL.
        deadline: seconds that it may run; None: no limit.
    """

    kind: str
    nodes: int
    processes: int
    command: tuple[str, ...]
    variables: tuple[Variable, ...]
    told: bool
    mounts: tuple[Mount, ...]
    volumes: tuple[Volume, ...]
    environment: str
    slots: int
    priority: int
    backoff_limit: int
    failure_policy: FailurePolicy | None
    grace: int
    suspend: bool
    deadline: int | None


def plan_of(manifest: Object, old: Object | None = None) -> Plan:
    """Return the plan of a TrainJob.

    Args:
        old: the TrainJob that the manifest is to change.

    Raises:
        Refused: it is not valid, not possible without a cluster, or may not change this way.
    """
    name = manifest["metadata"]["name"]
    if not NAME.fullmatch(name):
        raise Refused("metadata.name", f"{name!r} must begin with a letter, as the names of all TrainJobs.")
    spec = convert(manifest["spec"], TrainJobSpec, "spec")
    runtime = runtime_of(spec.runtime_ref)
    trainer = spec.trainer or Trainer()
    _check_top(spec)
    folder = _environment(trainer, runtime)
    kind = next((each for each in ("torch", "jax", "xgboost") if getattr(runtime.policy, each) is not None), "")
    given = tuple(_checked_variables(trainer, kind))
    resources = trainer.resources_per_node or runtime.container.resources or Resources()
    cpus = cores(resources, "spec.trainer.resourcesPerNode")
    nodes = _at_least(trainer.num_nodes, 0, runtime.policy.num_nodes, "spec.trainer.numNodes", MOST_NODES)
    processes = _at_least(trainer.num_proc_per_node, 1, max(1, int(cpus)), "spec.trainer.numProcPerNode", 1024)
    plan = Plan(
        kind=kind,
        nodes=nodes,
        processes=processes,
        command=_command(trainer, runtime),
        variables=_merged(runtime.container.env, given),
        told=spec.trainer is not None,
        mounts=tuple(runtime.container.volume_mounts),
        volumes=runtime.volumes,
        environment=folder,
        slots=nodes * max(1, math.ceil(cpus)),
        priority=_priority(manifest["metadata"].get("labels") or {}),
        backoff_limit=runtime.backoff_limit,
        failure_policy=runtime.failure_policy,
        grace=_grace(spec.runtime_patches or [], runtime.grace),
        suspend=bool(spec.suspend),
        deadline=spec.active_deadline_seconds,
    )
    if old is not None:
        _check_change(manifest, old)
    return plan


def runtime_of(reference: RuntimeRef) -> Runtime:
    """Return the runtime that a TrainJob names.

    Raises:
        Refused: there is none.
    """
    if reference.kind not in (None, "ClusterTrainingRuntime") or reference.api_group not in (None, GROUP):
        what = f"{reference.kind or 'ClusterTrainingRuntime'} of {reference.api_group or GROUP}"
        cure = "Leave out kind and apiGroup, and name a ClusterTrainingRuntime."
        raise Refused("spec.runtimeRef", f"{what} {NEEDS_CLUSTER}", cure)
    runtime = runtimes().get(reference.name)
    if runtime is None:
        known = runtimes()
        cure = hint(reference.name, known) or f"Runtimes: {listed(known)}."
        raise Refused("spec.runtimeRef.name", f"there is no runtime {reference.name[:60]!r} here.", cure)
    return runtime


def _check_top(spec: TrainJobSpec) -> None:
    if spec.managed_by not in (None, MANAGER):
        raise Refused("spec.managedBy", f"{spec.managed_by[:80]!r} {NEEDS_CLUSTER}", f"Leave it out, or use {MANAGER}.")
    for part in ("dataset", "model"):
        if spec.initializer and getattr(spec.initializer, part) is not None:
            cause = f"no runtime here has a {part}-initializer: it {NEEDS_CLUSTER}"
            raise Refused(f"spec.initializer.{part}", cause, "Read the data in your program.")
    _at_least(spec.active_deadline_seconds, 1, 1, "spec.activeDeadlineSeconds", MOST_SECONDS)


def _at_least(given: int | None, least: int, default: int, path: str, most: int) -> int:
    if given is not None and not least <= given <= most:
        raise Refused(path, f"must be a whole number from {least} to {most}, not {given}.")
    return default if given is None else given


def _checked_variables(trainer: Trainer, kind: str) -> list[Variable]:
    found: list[Variable] = []
    for place, each in enumerate(trainer.env or []):
        path = f"spec.trainer.env[{place}]"
        if not VARIABLE.fullmatch(each.name):
            cure = "Use letters, digits and '_', and no digit first."
            raise Refused(f"{path}.name", f"{each.name[:60]!r} is not the name of a variable.", cure)
        if each.name in (other.name for other in found):
            raise Refused(f"{path}.name", f"{each.name} is there twice.")
        if each.name in RESERVED.get(kind, ()):
            raise Refused(f"{path}.name", f"{each.name} is reserved: the runtime sets it.", "Remove it.")
        if each.value_from is not None:
            raise Refused(
                f"{path}.valueFrom", NEEDS_CLUSTER, "Give a value; secrets belong in files that only you can read."
            )
        if "\0" in each.value:
            raise Refused(f"{path}.value", "must not have a zero byte.")
        found.append(each)
    return found


def _merged(first: list[Variable], second: tuple[Variable, ...]) -> tuple[Variable, ...]:
    return tuple({each.name: each for each in (*first, *second)}.values())


def _command(trainer: Trainer, runtime: Runtime) -> tuple[str, ...]:
    for part in ("command", "args"):
        words = getattr(trainer, part) or []
        if len(words) > MOST_WORDS:
            raise Refused(f"spec.trainer.{part}", f"has {len(words)} items; at most {MOST_WORDS} are allowed.")
        for place, word in enumerate(words):
            if "\0" in word:
                raise Refused(f"spec.trainer.{part}[{place}]", "must not have a zero byte.")
    # Without them, those of the runtime; a command of its own does not replace the runtime's arguments, in Trainer too.
    command = trainer.command or runtime.container.command
    args = runtime.container.args if trainer.args is None else trainer.args
    if not command or not command[0]:
        cure = "For example: command: [python, train.py]"
        raise Refused("spec.trainer.command", f"is missing: the runtime {runtime.name} has none.", cure)
    return (*command, *args)


def _environment(trainer: Trainer, runtime: Runtime) -> str:
    image = trainer.image or runtime.container.image
    folder = environment_of(image)
    if folder is None:
        path = "spec.trainer.image" if trainer.image else "spec.runtimeRef.name"
        cause = f"the image {image[:200]!r}{'' if trainer.image else ' of this runtime'} {NEEDS_CLUSTER}"
        raise Refused(path, cause, f"Images that are here: {listed(IMAGES)} (spec.trainer.image).")
    return folder


def cores(resources: Resources, path: str) -> Decimal:
    """Return the CPUs of a node, as Trainer reads them: what it requests, else its limit, else none.

    Raises:
        Refused: a quantity is not valid, or asks for what only a cluster has.
    """
    for part in ("requests", "limits"):
        for name, given in (getattr(resources, part) or {}).items():
            amount = _quantity(given, f"{path}.{part}.{name}")
            if name not in ("cpu", "memory", "ephemeral-storage") and amount:
                raise Refused(f"{path}.{part}.{name}", NEEDS_CLUSTER, "Nodes here have CPUs only.")
    if resources.claims is not None:
        raise Refused(f"{path}.claims", NEEDS_CLUSTER)
    for amounts in (resources.requests, resources.limits):
        if amounts and (found := _quantity(amounts.get("cpu", 0), path)):
            return found
    return Decimal(0)


def _quantity(given: Any, path: str) -> Decimal:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)(m|k|M|G|Ki|Mi|Gi|)", str(given))
    if not match:
        raise Refused(path, f"{str(given)[:40]!r} is not a quantity.", "For example: 2, 500m or 1Gi.")
    return Decimal(match[1]) * Decimal(UNITS[match[2]])


def _priority(labels: Mapping[str, str]) -> int:
    name = labels.get(PRIORITY)
    if name is None:
        return 0
    known = priorities()
    if name not in known:
        cure = hint(name, known) or f"Classes: {listed(known)}."
        raise Refused(f"metadata.labels.{PRIORITY}", f"there is no priority class {name!r} here.", cure)
    return known[name]


def _grace(patches: list[RuntimePatch], grace: int) -> int:
    """Return the grace period that patches of the runtime ask for; refuse their other fields."""
    managers: set[str] = set()
    for place, patch in enumerate(patches):
        path = f"spec.runtimePatches[{place}]"
        if not patch.manager or patch.manager in managers:
            raise Refused(f"{path}.manager", "must be a name that no other patch has.")
        managers.add(patch.manager)
        template = patch.training_runtime_spec and patch.training_runtime_spec.template
        path += ".trainingRuntimeSpec.template.spec.replicatedJobs"
        for number, job in enumerate((template and template.spec and template.spec.replicated_jobs) or []):
            if job.name != NODE:
                raise Refused(f"{path}[{number}].name", f"the runtime has no job {job.name[:60]!r}.", f"Use {NODE}.")
            pod = job.template and job.template.spec and job.template.spec.template
            spec = pod and pod.spec
            if not spec:
                continue
            where = f"{path}[{number}].template.spec.template.spec"
            for name, field in zip(spec.__struct_encode_fields__, spec.__struct_fields__, strict=True):
                if field != "termination_grace_period_seconds" and getattr(spec, field) is not None:
                    raise Refused(f"{where}.{name}", NEEDS_CLUSTER, "Remove it.")
            asked = spec.termination_grace_period_seconds
            grace = _at_least(asked, 0, grace, f"{where}.terminationGracePeriodSeconds", 3600)
    return grace


def _check_change(manifest: Object, old: Object) -> None:
    new, before = manifest["spec"], old["spec"]
    for name in IMMUTABLE:
        if _plain(new.get(name)) != _plain(before.get(name)):
            cure = f"Delete it, and apply it again: `bin/pantheon delete trainjob {manifest['metadata']['name']}`"
            raise Refused(f"spec.{name}", "cannot be changed.", cure)
    suspended = bool(new.get("suspend")) or bool(before.get("suspend"))
    if not suspended and _plain(new.get("runtimePatches")) != _plain(before.get("runtimePatches")):
        raise Refused(
            "spec.runtimePatches", "can be changed only while the TrainJob is suspended.", "Set spec.suspend."
        )
    labels = [(each["metadata"].get("labels") or {}).get(PRIORITY) for each in (manifest, old)]
    if not suspended and labels[0] != labels[1]:
        cause = "can be changed only while the TrainJob is suspended."
        raise Refused(f"metadata.labels.{PRIORITY}", cause, "Set spec.suspend.")


def _plain(value: Any) -> Any:
    """Return a value with which others can be compared: numbers by their value, and nothing for an empty field."""
    return msgspec.json.decode(msgspec.json.encode(value)) if value is not None else None
