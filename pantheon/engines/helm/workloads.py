"""Convert Kubernetes' objects to the states of services that all engines use."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pantheon.engines import ServiceStatus
from pantheon.engines.helm import trouble
from pantheon.engines.helm.kube import Kube
from pantheon.errors import PantheonError

INSTANCE, COMPONENT, TASK = "app.kubernetes.io/instance", "app.kubernetes.io/component", "pantheon/task"
KINDS = "deployments,replicasets,statefulsets,jobs,cronjobs,pods"
REVISION = "deployment.kubernetes.io/revision"  # an annotation of Deployments and their ReplicaSets
RELEASE, HASH = "pantheon", "pod-template-hash"
Object = dict[str, Any]


@dataclass
class Seen:
    """The objects of the release at one moment.

    Attributes:
        owners: Deployments, StatefulSets, Jobs and CronJobs by service.
        pods: the pods of each service, newest first; also those that stop.
        jobs: the Jobs of each one-off, with those of earlier definitions while they are being deleted.
        newest: the hash of the newest definition's pods by service, for Deployments.
        parts: one-offs that are init containers of another service's pods: name → that service.
    """

    owners: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, list[Object]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, list[Object]] = field(default_factory=dict)

    def is_complete(self, job: str) -> bool:
        """Return whether the chart's Job with this name has run."""
        return all(int(each["status"].get("succeeded") or 0) for each in self.jobs.get(job, []))

    @property
    def exists(self) -> bool:
        """Whether the release is installed."""
        return bool(self.owners)

    @property
    def tasks(self) -> list[Object]:
        return [pod for pods in self.pods.values() for pod in pods if TASK in pod["metadata"]["labels"]]


def look(kube: Kube) -> Seen:
    """Return the objects of the release.

    Raises:
        PantheonError: the cluster does not answer, or the user may not see them.
    """
    seen, revisions = Seen(), dict[str, tuple[int, str]]()
    for each in kube.items(KINDS, "-l", f"{INSTANCE}={RELEASE}"):
        labels = each["metadata"].get("labels") or {}
        name = labels.get(COMPONENT, "")
        if each["kind"] == "ReplicaSet":
            revision = int((each["metadata"].get("annotations") or {}).get(REVISION) or 0)
            revisions[name] = max(revisions.get(name, (0, "")), (revision, labels.get(HASH, "")))
        elif each["kind"] == "Pod":
            seen.pods.setdefault(name, []).append(each)
        elif TASK not in labels:
            seen.owners[name] = each
            if each["kind"] == "Job":
                seen.jobs.setdefault(name, []).append(each)
            for part in template_of(each)["spec"].get("initContainers") or []:
                seen.parts[part["name"]] = name
    seen.newest = {name: digest for name, (_, digest) in revisions.items()}
    for pods in seen.pods.values():
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    return seen


def definition(kube: Kube, service: str) -> Object:
    """Return the CronJob, Deployment or Job that defines the pods of a service.

    Raises:
        PantheonError: the deployment is not installed, or its tier does not have the service.
    """
    label = f"{INSTANCE}={RELEASE},{COMPONENT}={service},!{TASK}"
    found = kube.items("cronjobs,deployments,jobs", "-l", label)
    if not found:
        raise PantheonError(f"The namespace {kube.namespace} does not run {service}.", "Start it: `up`", 1)
    return max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))


def template_of(owner: Object) -> Object:
    """Return the template of a workload's pods."""
    spec = owner["spec"]["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else owner["spec"]
    template: Object = spec["template"]
    return template


def statuses(
    seen: Seen, names: Iterable[str], addresses: Mapping[str, str], looked: trouble.Look
) -> list[ServiceStatus]:
    """Return the status of every service of the release in the order of ``names``, then of those not in it."""
    names = list(names)
    order = [name for name in names if name in seen.owners or seen.parts.get(name) in seen.owners]
    more = [name for name, owner in seen.owners.items() if owner["kind"] in ("Deployment", "StatefulSet")]
    return [
        status(seen, name, addresses.get(name, ""), looked)
        for name in [*order, *(name for name in more if name not in names)]
    ]


def status(seen: Seen, name: str, address: str, looked: trouble.Look) -> ServiceStatus:
    if name not in seen.owners:
        return _part(seen, name, seen.parts[name])
    owner = seen.owners[name]
    live = [pod for pod in seen.pods.get(name) or [] if "deletionTimestamp" not in pod["metadata"]]
    if owner["kind"] == "Job":
        return _job(owner, name, live, looked)
    return _service(owner, name, newest_of(seen, owner, name), address, looked)


def _service(owner: Object, name: str, newest: list[Object], address: str, looked: trouble.Look) -> ServiceStatus:
    wanted, has = int(owner["spec"].get("replicas", 1)), owner["status"]
    since = str(owner["metadata"]["creationTimestamp"])
    if not wanted:
        return ServiceStatus(name, "stopped", address=address, since=since)
    pod = newest[0] if newest else None
    restarts = sum(int(each.get("restartCount") or 0) for each in _containers(pod)) if pod else 0
    started = max((_started(each) for each in newest if _is_ready(each)), default="")
    seen_by_all = int(has.get("observedGeneration") or 0) >= int(owner["metadata"].get("generation") or 0)
    updated, ready = int(has.get("updatedReplicas") or 0), sum(_is_ready(each) for each in newest)
    if seen_by_all and updated >= wanted and ready >= wanted:
        again = f"restarted {_times(restarts)}" if restarts else ""
        return ServiceStatus(
            name, "healthy", again, address, since=started, uptime=_seconds(started), restarts=restarts
        )
    state, why, crashes = _trouble(owner, pod, looked)
    return ServiceStatus(name, state, why, address, since=since, restarts=restarts, crashes=crashes)


def newest_of(seen: Seen, owner: Object, name: str) -> list[Object]:
    """Return the pods of the newest definition that do not stop: while a service is replaced, older ones answer.

    For a StatefulSet without any: those of the definition before, which it keeps until they are ready.
    """
    pods = [pod for pod in seen.pods.get(name) or [] if "deletionTimestamp" not in pod["metadata"]]
    if owner["kind"] == "StatefulSet":
        label, wanted = "controller-revision-hash", str(owner["status"].get("updateRevision"))
    else:
        label, wanted = HASH, seen.newest.get(name, "")
    newest = [pod for pod in pods if pod["metadata"]["labels"].get(label) == wanted]
    return newest or (pods if owner["kind"] == "StatefulSet" else [])


def _trouble(owner: Object, pod: Object | None, looked: trouble.Look) -> tuple[str, str, int]:
    """Return ``(state, why, crashes)`` of a service that is not ready."""
    if pod is None:
        for each in owner["status"].get("conditions") or []:
            if each["type"] == "ReplicaFailure" and each["status"] == "True":
                return _told(trouble.refused(str(each.get("message"))))
        if owner["kind"] == "StatefulSet" and (why := looked.at_owner("StatefulSet", owner["metadata"]["name"])):
            return _told(why)
        return "starting", "", 0
    if why := looked.at_pod(pod):
        return _told(why)
    for each in _containers(pod, init=True):
        state, last = each.get("state") or {}, (each.get("lastState") or {}).get("terminated") or {}
        ended = state.get("terminated") or {}
        if (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff" or (ended and ended.get("exitCode")):
            times = int(each.get("restartCount") or 0)
            how = trouble.how_container_ended(ended or last)
            part = f"{each['name']} " if each["name"] != pod["spec"]["containers"][0]["name"] else ""
            again = f"; restarted {_times(times)}" if times else ""
            return "restarting", f"{part}{how}{again}", times + 1
    return "starting", "", 0


def _told(why: trouble.Why) -> tuple[str, str, int]:
    text = f"{why.text}. {why.cure}".rstrip(". ") if why.cure else why.text
    return ("failed" if why.fatal else "starting"), text, 0


def _job(owner: Object, name: str, pods: list[Object], looked: trouble.Look) -> ServiceStatus:
    since = str(owner["metadata"]["creationTimestamp"])
    conditions = {each["type"]: each for each in owner["status"].get("conditions") or [] if each["status"] == "True"}
    if "Complete" in conditions:
        return ServiceStatus(name, "completed", since=str(owner["status"].get("completionTime") or since))
    if "Failed" in conditions:
        return ServiceStatus(name, "failed", str(conditions["Failed"].get("message") or ""), since=since)
    if owner["spec"].get("suspend"):
        return ServiceStatus(name, "stopped", since=since)
    if not pods:
        why = looked.at_owner("Job", owner["metadata"]["name"])
        state, text, crashes = _told(why) if why else ("starting", "", 0)
    else:
        state, text, crashes = _trouble(owner, pods[0], looked)
    return ServiceStatus(name, state, text, since=since, crashes=crashes)


def _part(seen: Seen, name: str, owner: str) -> ServiceStatus:
    """Return the status of a one-off that is an init container of another service's pods."""
    pods = seen.pods.get(owner) or []
    since = str(seen.owners[owner]["metadata"]["creationTimestamp"])
    if not int(seen.owners[owner]["spec"].get("replicas", 1)):
        return ServiceStatus(name, "stopped", since=since)
    for pod in pods[:1]:
        for each in pod["status"].get("initContainerStatuses") or []:
            if each["name"] == name:
                terminated = (each.get("state") or {}).get("terminated") or {}
                if terminated.get("exitCode") == 0:
                    return ServiceStatus(name, "completed", since=str(terminated["finishedAt"]))
                running = (each.get("state") or {}).get("running") or {}
                return ServiceStatus(name, "starting" if running else "waiting", since=since)
    return ServiceStatus(name, "waiting", since=since)


def _containers(pod: Object, init: bool = False) -> list[Object]:
    keys = ("initContainerStatuses", "containerStatuses") if init else ("containerStatuses",)
    return [each for key in keys for each in pod["status"].get(key) or []]


def _is_ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or [])


def _started(pod: Object) -> str:
    started = [str((each.get("state") or {}).get("running", {}).get("startedAt") or "") for each in _containers(pod)]
    return max(started, default="") or str(pod["metadata"]["creationTimestamp"])


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    return max((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds(), 0.0)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def waiting(pod: Object) -> set[str]:
    """Return the reasons why containers of a pod wait, and why it has no node."""
    states = [(each.get("state") or {}).get("waiting") or {} for each in _containers(pod, init=True)]
    states += [each for each in pod["status"].get("conditions") or [] if each["type"] == "PodScheduled"]
    return {str(each["reason"]) for each in states if each.get("reason")}


def memory(kube: Kube) -> dict[str, int]:
    """Return the memory of services in bytes, if the cluster measures it; else nothing."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{kube.namespace}/pods"
    try:
        found = json.loads(kube.run(kube.kubectl("get", "--raw", path), timeout=5.0))
    except (PantheonError, ValueError):
        return {}
    total: dict[str, int] = {}
    for pod in found.get("items") or []:
        name = (pod["metadata"].get("labels") or {}).get(COMPONENT, "")
        total[name] = total.get(name, 0) + sum(_bytes(each["usage"]["memory"]) for each in pod["containers"])
    return total


def _bytes(text: str) -> int:
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 1000, "M": 10**6, "G": 10**9}
    for unit, size in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * size)
    return int(text) if text.isdecimal() else 0
