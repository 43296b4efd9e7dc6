"""Why pods do not run: what Kubernetes says about them, as a sentence, and what to do about it."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pantheon.engines.helm.kube import Kube
from pantheon.errors import PantheonError
from pantheon.processes import ended

OUT_OF_MEMORY = "used more memory than its limit and was killed"
WAITED = "it ended because no task came"  # see `pod`: then no task can begin in it
SLOW_SECONDS = 20.0  # what may pass by itself: a pod that stops frees memory, a volume is being made
EVENTS_SECONDS = 2.0  # between two looks at events of the same pod
IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")
FINAL = re.compile(r"not found|denied|unauthorized|forbidden|no such host|manifest unknown|invalid|never", re.I)
AROUND = re.compile(  # what runtimes say around the cause
    r"^(?:rpc error: code = \w+ desc = |(?:Err)?ImagePull(?:BackOff)?: |(?:Back-off pulling image"
    r"|failed to (?:pull(?: and unpack)? image|resolve reference|do request))(?: \"[^\"]*\")?: )+",
    re.I,
)
VALUES = "VALUES="  # the setting that names a file with values of the chart
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Why:
    """Why a pod does not run.

    Attributes:
        text: the cause, without a full stop.
        cure: what to do; may be empty.
        fatal: waiting longer does not help.
    """

    text: str
    cure: str = ""
    fatal: bool = False


class Look:
    """Looks at pods again and again; what does not pass within some seconds counts as fatal."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.since: dict[tuple[str, str], float] = {}
        self.events: dict[str, tuple[float, Sequence[Object]]] = {}

    def lasts(self, name: str, reason: str, seconds: float = SLOW_SECONDS) -> bool:
        """Return whether something about an object was seen for so long."""
        now = time.monotonic()
        return now - self.since.setdefault((name, reason), now) >= seconds

    def at_pods(self, pods: Iterable[Object]) -> Why | None:
        """Return why the newest pod does not run; None if it does, or nothing is known."""
        newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
        return self.at_pod(newest) if newest else None

    def at_pod(self, pod: Object) -> Why | None:
        name, status = pod["metadata"]["name"], pod["status"]
        for each in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])):
            waiting = (each.get("state") or {}).get("waiting") or {}
            reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
            if reason in IMAGE:
                return self.image(name, each, reason, message)
            if reason in CONFIG:
                return Why(f"{reason}: {message}", _config_cure(message), self.lasts(name, reason, 10.0))
        for condition in status.get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return self.unschedulable(pod, str(condition.get("message") or condition.get("reason") or ""))
        if status.get("phase") == "Failed" and status.get("reason") in ("Evicted", "UnexpectedAdmissionError"):
            return Why(f"{status['reason']}: {status.get('message', '')}".rstrip(". "), "", True)
        if status.get("phase") == "Pending" and self.lasts(name, "Pending", 5.0):
            return self.at_events("Pod", name, ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"))
        return None

    def image(self, name: str, container: Object, reason: str, message: str) -> Why:
        image = container.get("image", "its image")
        if reason == "ImagePullBackOff":  # the first message says more
            message = self.said("Pod", name, ("Failed",), "pull") or message
        detail = AROUND.sub("", re.sub(r"\s+", " ", message).strip())[-300:]
        cure = "Give the nodes the image: REGISTRY= names a registry that they pull from; `doctor` checks it."
        if "pantheon" not in image:
            cure = "Name a place that the nodes can pull it from: POSTGRES_IMAGE=, S3_IMAGE= or VALKEY_IMAGE=."
        fatal = bool(FINAL.search(message)) or reason in ("InvalidImageName", "ErrImageNeverPull")
        return Why(f"the image {image} cannot be pulled: {detail}", cure, fatal or self.lasts(name, "image", 15.0))

    def unschedulable(self, pod: Object, message: str) -> Why | None:
        name = pod["metadata"]["name"]
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or []
            if volume.get("persistentVolumeClaim")
        ]
        if "persistentvolumeclaim" in message.lower() or "unbound" in message.lower():
            return self.claims(claims) or Why(message, "", self.lasts(name, "claim", 60.0))
        growing = self.said("Pod", name, ("TriggeredScaleUp",))
        cure = "Add a node, or lower what pods ask for: pods.all.resources in a values file, VALUES=FILE."
        if "taint" in message and "Insufficient" not in message:
            cure = f"Tolerate the nodes' taints: pods.all.tolerations in a values file, {VALUES}FILE."
        return Why(f"no node can run it: {message.rstrip('.')}", cure, not growing and self.lasts(name, "scheduled"))

    def claims(self, names: Sequence[str]) -> Why | None:
        """Return why a PersistentVolumeClaim has no volume."""
        for name in names:
            try:
                claim = self.kube.json("get", "pvc", name)
            except PantheonError as error:
                return Why(error.cause.rstrip("."), error.cure, self.lasts(name, "missing", 10.0))
            if claim["status"].get("phase") == "Bound":
                continue
            asked = claim["spec"].get("storageClassName")
            said = self.said("PersistentVolumeClaim", name, ("FailedBinding", "ProvisioningFailed"))
            cure = f"Name a storage class of `kubectl get storageclass`: volumes.storageClass in a file, {VALUES}FILE."
            if not asked:
                text = f"the volume {name} cannot be made: the cluster has no default storage class"
                return Why(text, cure, self.lasts(name, "class", 5.0))
            if said:
                text = f"the volume {name} of the storage class {asked} cannot be made: {said.rstrip('.')}"
                return Why(text, cure, "not found" in said or self.lasts(name, "provisioning", 30.0))
        return None

    def at_owner(self, kind: str, name: str) -> Why | None:
        """Return why a Job, StatefulSet or ReplicaSet makes no pods: a quota, or the namespace's Pod Security."""
        why = self.at_events(kind, name, ("FailedCreate",))
        return refused(why.text) if why else None

    def at_events(self, kind: str, name: str, reasons: Sequence[str]) -> Why | None:
        text = self.said(kind, name, reasons)
        return Why(re.sub(r"\s+", " ", text)[:400].rstrip(". "), "", self.lasts(name, reasons[0])) if text else None

    def said(self, kind: str, name: str, reasons: Sequence[str], word: str = "") -> str:
        """Return the message of the newest event about an object with one of the reasons; empty without one."""
        key, now = f"{kind}/{name}", time.monotonic()
        looked, events = self.events.get(key, (0.0, ()))
        if now - looked > EVENTS_SECONDS:
            selector = f"involvedObject.name={name},involvedObject.kind={kind}"
            try:
                events = self.kube.items("events", f"--field-selector={selector}")
            except PantheonError:  # a user may see pods and not events
                events = ()
            self.events[key] = now, events
        found = [each for each in events if each.get("reason") in reasons and word in str(each.get("message"))]
        newest = max(found, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""), default={})
        return str(newest.get("message") or "")


def refused(message: str) -> Why:
    """Return the cause for an object that the API server did not accept."""
    text = re.sub(r"\s+", " ", message).strip().rstrip(".")
    text = text.partition("Error creating: ")[2] or text
    if "exceeded quota" in text:
        return Why(text, "Ask for a larger quota, or set smaller pods.all.resources in a file, VALUES=FILE.", True)
    if "PodSecurity" in text or "podsecurity" in text.lower():
        cure = "Pods meet the level restricted unless values change podSecurityContext; see `doctor`."
        return Why(text, cure, True)
    return Why(text, "", "forbidden" in text)


def _config_cure(message: str) -> str:
    if "secret" in message or "configmap" in message:
        return "Run `up` again, which makes what is missing."
    return ""


def how_container_ended(terminated: Object) -> str:
    """Describe the end of a container from its status' ``terminated``."""
    if terminated.get("reason") == "OOMKilled":
        return OUT_OF_MEMORY
    code = int(terminated.get("exitCode") or 0)
    how = ended(128 - code if 128 < code < 160 else code)
    message = str(terminated.get("message") or "").strip()
    return f"{how}: {message[:200]}" if message and "\n" not in message else how


def how_pod_ended(kube: Kube, name: str) -> str:
    """Return why a pod ended; empty if it runs, or nothing is known."""
    try:
        pod = kube.json("get", "pod", name)
    except PantheonError:
        return "its pod was deleted"
    status = pod["status"]
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message', '')}".rstrip(": ")
    for each in status.get("containerStatuses") or []:
        terminated = (each.get("state") or {}).get("terminated") or {}
        if terminated.get("exitCode") == 0 and "deletionTimestamp" not in pod["metadata"]:
            return WAITED
        if terminated:
            return how_container_ended(terminated)
    if "deletionTimestamp" in pod["metadata"]:
        return "its pod was deleted"
    return ""
