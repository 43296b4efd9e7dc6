"""What a rendered chart asks of a cluster: processors, memory, volumes, and rights to make its objects."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

UNITS = {
    **{unit: 1024 ** (power + 1) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{unit: 1000 ** (power + 1) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"))},
    **{"": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9},
}
PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}
GiB = 2**30


def quantity(text: object) -> float:
    """Return a quantity of Kubernetes, such as ``50m``, ``1Gi`` or ``1e3``, as a number; 0 if it is not valid."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]{0,2})", str(text).strip())
    return float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else 0.0


@dataclass(frozen=True)
class Amount:
    """Processors, and bytes of memory: what is reserved, and the most that may be used (``limit``, in bytes)."""

    cpu: float = 0.0
    memory: float = 0.0
    limit: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.cpu + other.cpu, self.memory + other.memory, self.limit + other.limit)

    def times(self, number: int) -> "Amount":
        return Amount(self.cpu * number, self.memory * number, self.limit * number)

    def at_least(self, other: "Amount") -> "Amount":
        return Amount(max(self.cpu, other.cpu), max(self.memory, other.memory), max(self.limit, other.limit))

    def __str__(self) -> str:
        return f"{self.cpu:.2f} CPU and {self.memory / GiB:.1f} GiB"


@dataclass(frozen=True)
class Claim:
    """A volume: its size in bytes, storage class (empty: the default) and access mode."""

    name: str
    size: float
    storage_class: str
    mode: str


@dataclass(frozen=True)
class Needs:
    """What a tier asks of a cluster.

    Attributes:
        services: of all pods that run all the time, together.
        largest: of the largest one of them; all are on one node if they share a ReadWriteOnce volume.
        task: of the largest task, such as a run of the workflow.
        pods: how many pods run all the time.
        containers: the largest container: its requests and limit.
        claims: the volumes.
        objects: (API group, resource) of everything that the chart makes, such as ``("apps", "deployments")``.
        selector: labels of the nodes that all pods ask for.
        tolerates: whether pods tolerate taints.
    """

    services: Amount
    task: Amount
    container: Amount
    pods: int
    claims: tuple[Claim, ...]
    objects: frozenset[tuple[str, str]]
    selector: Mapping[str, str]
    tolerates: bool

    @property
    def one_node(self) -> bool:
        """Whether all pods have to be on one node: a ReadWriteOnce volume is attached to one."""
        return any(claim.name == "pantheon-data" and claim.mode != "ReadWriteMany" for claim in self.claims)


def of(objects: Sequence[Object]) -> Needs:
    """Return what the objects of a rendered chart ask for."""
    services = task = container = Amount()
    pods, selectors, tolerates = 0, [], False
    for each in objects:
        spec = pod_of(each)
        if not spec or each["kind"] == "Pod":  # of `helm test`
            continue
        selectors.append(dict(spec.get("nodeSelector") or {}))
        tolerates = tolerates or bool(spec.get("tolerations"))
        for one in (*spec.get("initContainers", []), *spec["containers"]):
            container = container.at_least(amount(one))
        if each["kind"] in ("Deployment", "StatefulSet"):
            number = int(each["spec"].get("replicas", 1))
            pods += number
            services += of_pod(spec).times(number)
        else:
            task = task.at_least(of_pod(spec))
    claims = tuple(claim(each) for each in objects if each["kind"] == "PersistentVolumeClaim")
    made = frozenset(resource(each) for each in objects)
    shared = dict(set.intersection(*(set(each.items()) for each in selectors))) if selectors else {}
    return Needs(services, task, container, pods, claims, made, shared, tolerates)


def pod_of(each: Object) -> Mapping[str, Any]:
    """Return the specification of a workload's pods; empty if it has none."""
    spec = each.get("spec") or {}
    if each["kind"] == "Pod":
        return dict(spec)
    if each["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return dict((spec.get("template") or {}).get("spec") or {}) if each["kind"] in WORKLOADS else {}


WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")


def of_pod(spec: Mapping[str, Any]) -> Amount:
    """Return what the scheduler reserves for a pod: its containers together, or its largest init container."""
    total = together(amount(each) for each in spec.get("containers") or [])
    for each in spec.get("initContainers") or []:
        total = total.at_least(amount(each))
    return total


def together(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())


def amount(container: Mapping[str, Any]) -> Amount:
    """Return what one container reserves; a request that is missing is the limit."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = limits | (resources.get("requests") or {})
    cpu, memory = (quantity(requests.get(name, 0)) for name in ("cpu", "memory"))
    return Amount(cpu, memory, quantity(limits.get("memory", 0)))


def claim(each: Object) -> Claim:
    spec = each["spec"]
    size = quantity(spec["resources"]["requests"]["storage"])
    return Claim(each["metadata"]["name"], size, spec.get("storageClassName") or "", spec["accessModes"][0])


def resource(each: Object) -> tuple[str, str]:
    """Return the API group and the resource of an object: ``("apps", "deployments")``."""
    group, slash, _ = each["apiVersion"].partition("/")
    kind = each["kind"]
    return (group if slash else "", PLURALS.get(kind, f"{kind.lower()}s"))
