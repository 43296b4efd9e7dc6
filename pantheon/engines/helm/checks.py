"""The checks of a cluster in ``doctor``: each one judges what the API server answered; see ``doctor.py``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pantheon.engines.findings import Finding
from pantheon.engines.helm.needs import Amount, GiB, Needs, Object, of_pod, quantity, together

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"
ENFORCED = "pod-security.kubernetes.io/enforce"
ONE_NODE_ONLY = {  # provisioners whose volumes are attached to one node
    *("rancher.io/local-path", "docker.io/hostpath", "k8s.io/minikube-hostpath", "microk8s.io/hostpath"),
    *("ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com", "dobs.csi.digitalocean.com"),
    *("kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/azure-disk", "csi.hetzner.cloud"),
}
CHANGES = ("create", "get", "patch", "delete")
ENGINE = (  # what the commands need besides what the chart makes
    *((verb, "", "secrets") for verb in ("create", "get", "list", "update", "delete")),  # of Helm's releases
    *(("list", "", "pods"), ("watch", "", "pods"), ("get", "", "pods/log"), ("create", "", "pods/portforward")),
    *(("create", "batch", "jobs"), ("list", "batch", "jobs"), ("delete", "batch", "jobs")),
)
AS_NAMESPACE = "kubectl create rolebinding pantheon --clusterrole=edit --user=NAME -n {namespace}"
Review = tuple[str, str, str]  # verb, API group, resource


def storage(classes: Sequence[Object] | None, claims: Sequence[Object], needs: Needs) -> Finding:
    """Return whether the volumes can be made.

    Args:
        classes: the cluster's storage classes; None if the user may not read them.
        claims: what is in the namespace.
    """
    size = f"{sum(each.size for each in needs.claims) / GiB:.0f} GiB in {len(needs.claims)} volumes"
    mode = next((each.mode for each in needs.claims if each.name == "pantheon-data"), "ReadWriteOnce")
    remark = "ReadWriteOnce: all pods run on one node" if needs.one_node else f"{mode}: pods run on any node"
    there = {each["metadata"]["name"]: each.get("status", {}).get("phase") for each in claims}
    if lost := [each.name for each in needs.claims if there.get(each.name) == "Lost"]:
        return Finding("storage", False, f"the volume of {lost[0]} is lost", _look("pvc", lost[0]), fatal=True)
    missing = [each for each in needs.claims if each.name not in there]
    if not missing:
        return Finding("storage", True, f"the volumes are there; {remark}" if needs.claims else "existing claims")
    if classes is None:
        return Finding("storage", True, f"{size}; this user may not read the storage classes; {remark}")
    named = {each["metadata"]["name"]: each for each in classes}
    default = next((name for name, each in named.items() if _is_default(each, DEFAULT_CLASS)), "")
    names = ", ".join(named) or "none"
    for each in missing:
        if not each.storage_class and not default:
            cure = "Choose one in the values, such as volumes.storageClass=NAME; `kubectl get storageclass` lists them."
            cause = f"no default storage class; there are: {names}"
            return Finding("storage", False, cause, cure, fatal=True)
        if each.storage_class and each.storage_class not in named:
            cure = "Change volumes.storageClass; `kubectl get storageclass` lists them."
            return Finding("storage", False, f"no storage class {each.storage_class}; there are: {names}", cure, True)
    chosen = missing[0].storage_class or default
    provisioner = str(named[chosen]["provisioner"])
    if mode == "ReadWriteMany" and provisioner in ONE_NODE_ONLY:
        cause = f"{chosen} ({provisioner}) makes volumes for one node, but volumes.accessMode is ReadWriteMany"
        cure = "Choose a class for files in volumes.storageClass, such as one of NFS, EFS, Filestore or Azure Files."
        return Finding("storage", False, cause, cure, fatal=True)
    is_default = ", the default" if chosen == default else ""
    return Finding("storage", True, f"{chosen} ({provisioner}{is_default}), {size}; {remark}")


def _is_default(each: Object, annotation: str) -> bool:
    return (each["metadata"].get("annotations") or {}).get(annotation) == "true"


def _look(kind: str, name: str) -> str:
    return f"See why: `kubectl describe {kind} {name}`"


# rights ---------------------------------------------------------------------------------------------------------------


def reviews(needs: Needs) -> list[Review]:
    """Return what the user must be allowed to do in the namespace."""
    made = {(verb, group, name) for group, name in needs.objects for verb in CHANGES}
    return sorted(made | set(ENGINE))


def review(one: Review, namespace: str) -> dict[str, Any]:
    """Return a question to the API server: may this user do that?"""
    verb, group, name = one
    resource, _, sub = name.partition("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": sub, "namespace": namespace}
    given = {key: value for key, value in attributes.items() if value}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return kind | {"spec": {"resourceAttributes": given}}


def permissions(asked: Sequence[Review], answers: Sequence[Object], namespace: str) -> Finding:
    """Return whether the user has all rights, from the answers to ``review``, in the same order."""
    allowed = [bool(each.get("status", {}).get("allowed")) for each in answers]
    denied = [one for one, yes in zip(asked, allowed, strict=True) if not yes]
    if not denied:
        return Finding("permissions", True, f"all {len(asked)} that the chart needs in the namespace {namespace}")
    kinds: dict[str, list[str]] = {}
    for verb, group, name in denied:
        kinds.setdefault(f"{name}.{group}" if group else name, []).append(verb)
    named = [
        f"everything on {kind}" if set(CHANGES) <= set(verbs) else f"{' and '.join(verbs)} {kind}"
        for kind, verbs in kinds.items()
    ]
    found = f"missing: {', '.join(named[:3])}{f' and {len(named) - 3} more' if len(named) > 3 else ''}"
    cure = f"Ask an administrator for the role `edit` there: `{AS_NAMESPACE.format(namespace=namespace)}`"
    if any(kind.endswith("rbac.authorization.k8s.io") for kind in kinds):
        cure = f"{cure.replace('`edit`', '`admin`').replace('=edit', '=admin')}; roles are for the KubernetesExecutor."
    return Finding("permissions", False, found, cure, fatal=True)


def namespace(name: str, found: Object | None, may_create: bool) -> Finding:
    """Return whether the namespace is there, or can be made.

    Args:
        found: the namespace; None if it does not exist, empty if the user may not read it.
    """
    if found is None and not may_create:
        cure = f"Ask an administrator for it: `kubectl create namespace {name}`"
        return Finding("namespace", False, f"{name} does not exist, and this user may not make it", cure, fatal=True)
    if found is None:
        return Finding("namespace", True, f"{name} does not exist yet; up makes it")
    if found.get("status", {}).get("phase") == "Terminating":
        cure = f"Wait until it is gone: `kubectl wait --for=delete namespace/{name} --timeout=5m`"
        return Finding("namespace", False, f"{name} is being deleted", cure, fatal=True)
    return Finding("namespace", True, f"{name} exists")


def pod_security(found: Object | None) -> Finding:
    """Return which standard the namespace enforces. The pods meet every one of them."""
    labels = (found or {}).get("metadata", {}).get("labels") or {}
    level = labels.get(ENFORCED, "")
    said = f"{level} is enforced" if level else "the namespace enforces none by a label"
    return Finding("Pod Security", True, f"{said}; the pods meet restricted, the strictest")


# quota ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What limits a namespace: its ResourceQuotas, its LimitRanges, and the pods that are there already."""

    quotas: Sequence[Object]
    ranges: Sequence[Object]
    pods: Sequence[Object] = ()


def quota(limits: Limits, needs: Needs, claims: Sequence[Object] = ()) -> Iterator[Finding]:
    """Yield one finding for each ResourceQuota and LimitRange, or one that says that there is none."""
    if not limits.quotas and not limits.ranges:
        yield Finding("quota", True, "no ResourceQuota or LimitRange in the namespace")
    there = {each["metadata"]["name"] for each in claims}
    new = [each for each in needs.claims if each.name not in there]
    own = together(of_pod(each["spec"]) for each in limits.pods)
    wanted = needs.services + needs.task
    asked = {
        **dict.fromkeys(("cpu", "requests.cpu"), wanted.cpu - own.cpu),
        **dict.fromkeys(("memory", "requests.memory"), wanted.memory - own.memory),
        "limits.memory": wanted.limit - own.limit,
        "pods": needs.pods + 1 - len(limits.pods),
        "persistentvolumeclaims": len(new),
        "requests.storage": sum(each.size for each in new),
    }
    default_cpu = any(_of_containers(each).get("default", {}).get("cpu") for each in limits.ranges)
    for each in limits.quotas:
        yield _one_quota(each, asked, default_cpu)
    for each in limits.ranges:
        yield _one_range(each, needs)


def _one_quota(each: Object, asked: Mapping[str, float], default_cpu: bool) -> Finding:
    name = each["metadata"]["name"]
    status = each.get("status") or {}
    hard = status.get("hard") or each["spec"].get("hard") or {}
    used = status.get("used") or {}
    if "limits.cpu" in hard and not default_cpu:
        cause = "it limits limits.cpu, so a container without a CPU limit is refused, and the chart sets none"
        cure = "Ask for a LimitRange with a default CPU limit, or for a quota without limits.cpu."
        return Finding(f"quota {name}", False, cause, cure, fatal=True)
    short = []
    for key, wanted in asked.items():
        free = quantity(hard[key]) - quantity(used.get(key, 0)) if key in hard else 0.0
        if key in hard and wanted > free + 1e-9:
            short.append(f"{key}: {_amount(key, wanted)} needed, {_amount(key, free)} of {hard[key]} free")
    if short:
        cure = "Ask for a larger quota, use a smaller tier, or ask for less with pods.SERVICE.resources."
        return Finding(f"quota {name}", False, "; ".join(short), cure, fatal=True)
    shown = ", ".join(f"{key} {_amount(key, asked[key])} of {hard[key]}" for key in asked if key in hard)
    return Finding(f"quota {name}", True, f"enough for the tier and a run: {shown}" if shown else "of other resources")


def _amount(key: str, value: float) -> str:
    if "memory" in key or "storage" in key:
        return f"{value / GiB:.1f} GiB"
    return f"{value:.2f}" if "cpu" in key else f"{value:.0f}"


def _of_containers(each: Object) -> Mapping[str, Any]:
    return next((dict(one) for one in each["spec"].get("limits") or [] if one.get("type") == "Container"), {})


def _one_range(each: Object, needs: Needs) -> Finding:
    name, short = each["metadata"]["name"], []
    largest = Amount(needs.container.cpu, needs.container.memory, max(needs.container.limit, needs.container.memory))
    for one in each["spec"].get("limits") or []:
        most = one.get("max") or {}
        if one.get("type") == "Container" and "memory" in most and quantity(most["memory"]) < largest.limit:
            short.append(f"a container may have {most['memory']} of memory, one needs {largest.limit / GiB:.1f} GiB")
        if one.get("type") == "Container" and "cpu" in most and "cpu" not in (one.get("default") or {}):
            short.append("containers need a CPU limit because max.cpu is set, and it has no default.cpu")
        if one.get("type") == "PersistentVolumeClaim" and "storage" in most:
            for claim in needs.claims:
                if claim.size > quantity(most["storage"]):
                    short.append(f"a volume may have {most['storage']}, {claim.name} needs {claim.size / GiB:.0f} GiB")
    if short:
        cure = "Ask for another LimitRange, or ask for less with pods.SERVICE.resources and volumes.VOLUME.size."
        return Finding(f"limits {name}", False, "; ".join(short), cure, fatal=True)
    return Finding(f"limits {name}", True, "the containers and volumes are within them")


# nodes ----------------------------------------------------------------------------------------------------------------


def capacity(nodes: Sequence[Object] | None, needs: Needs) -> Finding:
    """Return whether the pods fit: on one node if they share a ReadWriteOnce volume. Other pods are not counted.

    Args:
        nodes: the cluster's nodes; None if the user may not read them.
    """
    wanted = needs.services + needs.task
    asked = f"{wanted} reserved with a run"
    if nodes is None:
        return Finding("nodes", True, f"{asked}; this user may not read the nodes")
    refusals = [(each["metadata"]["name"], _refusal(each, needs)) for each in nodes]
    usable = [each for each, (_, why) in zip(nodes, refusals, strict=True) if not why]
    if not usable:
        cause = "; ".join(f"{name} {why}" for name, why in refusals[:3]) or "there are none"
        return Finding("nodes", False, f"no node accepts the pods: {cause}", "See why: `kubectl describe nodes`", True)
    free = [_allocatable(each) for each in usable]
    room = max(free, key=lambda each: each.memory) if needs.one_node else together(free)
    where = (
        "the largest node" if needs.one_node and len(usable) > 1 else "the node" if len(usable) == 1 else "the nodes"
    )
    fits = any(each.cpu >= wanted.cpu and each.memory >= wanted.memory for each in (free if needs.one_node else [room]))
    said = f"{asked}; {where} can give {room}"
    if not fits:
        cure = "Use larger nodes or a smaller tier, or ask for less with pods.SERVICE.resources."
        if needs.one_node and len(usable) > 1:
            cure += " With volumes.accessMode=ReadWriteMany, pods spread over nodes."
        return Finding("nodes", False, said, cure, fatal=True)
    return Finding("nodes", True, said)


def _refusal(node: Object, needs: Needs) -> str:
    """Return why a node does not accept the pods; empty if it does."""
    labels, spec = node["metadata"].get("labels") or {}, node["spec"]
    if not any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", [])):
        return "is not ready"
    if spec.get("unschedulable"):
        return "is cordoned"
    if wrong := [f"{key}={value}" for key, value in needs.selector.items() if labels.get(key) != value]:
        return f"does not have the label {wrong[0]}"
    repels = [each["key"] for each in spec.get("taints") or [] if each["effect"] in ("NoSchedule", "NoExecute")]
    return f"has the taint {repels[0]}" if repels and not needs.tolerates else ""


def _allocatable(node: Object) -> Amount:
    found = node["status"]["allocatable"]
    return Amount(quantity(found["cpu"]), quantity(found["memory"]))


# addresses and scaling ------------------------------------------------------------------------------------------------


def ingress(classes: Sequence[Object] | None, chosen: str) -> Finding:
    """Return whether the class of the Ingresses exists; an empty ``chosen`` is the default one."""
    if classes is None:
        return Finding("ingress", True, f"{chosen or 'the default class'}; this user may not read the classes")
    names = [each["metadata"]["name"] for each in classes]
    default = next((each["metadata"]["name"] for each in classes if _is_default(each, DEFAULT_INGRESS)), "")
    if chosen in names or (not chosen and default):
        return Finding("ingress", True, f"class {chosen or default}")
    shown = ", ".join(names) or "none"
    if not names:
        cure = "Install an ingress controller, or use expose.by=none and `kubectl port-forward`."
        return Finding("ingress", False, "the cluster has no ingress class: nothing serves Ingresses", cure)
    cause = f"no class {chosen}; there are: {shown}" if chosen else f"no default class; there are: {shown}"
    return Finding("ingress", False, cause, f"Set expose.className={names[0]}.")


def gateways(wanted: Sequence[Object], found: Callable[[str, str], bool | None]) -> Finding:
    """Return whether the Gateways exist.

    Args:
        wanted: ``expose.gateways``: names, and namespaces if they are not the deployment's.
        found: returns whether there is a Gateway in a namespace (empty: the deployment's); None: the cluster does not
            have the Gateway API.
    """
    for each in wanted:
        name, place = str(each.get("name", "")), str(each.get("namespace", ""))
        there = found(name, place)
        if there is None:
            cure = "Install the Gateway API and a controller, or use expose.by=ingress."
            return Finding("gateway", False, "the cluster does not have the Gateway API", cure)
        if not there:
            where = f" in the namespace {place}" if place else ""
            cure = "Correct expose.gateways; `kubectl get gateways --all-namespaces` lists them."
            return Finding("gateway", False, f"there is no Gateway {name}{where}", cure)
    return Finding("gateway", True, ", ".join(str(each.get("name", "")) for each in wanted))


def metrics(answers: bool) -> Finding:
    """Return whether the metrics API answers, which the autoscaler asks."""
    if answers:
        return Finding("metrics", True, "the metrics API answers; the autoscaler uses it")
    cure = "Install the metrics server, or set endpoint.autoscaler.enabled=false."
    return Finding("metrics", False, "the metrics API does not answer, so the autoscaler never adds a pod", cure)
