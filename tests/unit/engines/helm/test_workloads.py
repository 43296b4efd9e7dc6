"""What Kubernetes says about pods, as the states of services and as sentences with a next step."""

from typing import Any

import pytest

from pantheon.engines.helm import trouble, workloads
from pantheon.engines.helm.kube import Kube, Missing

IMAGE = "pantheon/serving:2"
MADE, LATER = "2026-11-30T10:00:00Z", "2026-11-30T10:05:00Z"
Object = dict[str, Any]


class Cluster(Kube):
    """Objects that ``get`` finds, and events by the object that they are about."""

    def __init__(self, **events: str) -> None:
        super().__init__("demo")
        self.said = {name.replace("_", "-"): text for name, text in events.items()}
        self.claims: dict[str, Object] = {}

    def items(self, kind: str, *arguments: str) -> list[Object]:
        about = arguments[0].partition("involvedObject.name=")[2].partition(",")[0]
        reason, _, message = self.said.get(about, "").partition(" ")
        return [{"reason": reason, "message": message, "lastTimestamp": LATER}] if reason else []

    def json(self, *arguments: str, input: bytes | None = None) -> Any:
        if arguments[2] not in self.claims:
            raise Missing(f"{arguments[2]} not found")
        return self.claims[arguments[2]]


def deployment(name: str = "button", generation: int = 1, replicas: int = 1, **status: Any) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "creationTimestamp": MADE, "generation": generation, "labels": labels(name)},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": name, "image": IMAGE}]}}},
        "status": {"observedGeneration": 1, **status},
    }


def labels(name: str) -> Object:
    return {"app.kubernetes.io/component": name, "pod-template-hash": "1"}


def pod(name: str = "button", ready: bool = False, image: str = IMAGE, **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", [])]
    status.setdefault("containerStatuses", [container(name, running={"startedAt": LATER})])
    return {
        "kind": "Pod",
        "metadata": {"name": f"{name}-1-x", "creationTimestamp": LATER, "labels": labels(name)},
        "spec": {"containers": [{"name": name, "image": image}], "volumes": []},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def container(name: str = "button", restarts: int = 0, last: Object | None = None, **state: Any) -> Object:
    return {"name": name, "image": IMAGE, "restartCount": restarts, "state": state, "lastState": last or {}}


def status(owner: Object, *pods: Object, cluster: Cluster | None = None, seconds: float = 0.0) -> Any:
    name = owner["metadata"]["labels"]["app.kubernetes.io/component"]
    seen = workloads.Seen({name: owner}, {name: list(pods)}, newest={name: "1"})
    looked = trouble.Look(cluster or Cluster())
    found = workloads.status(seen, name, "", looked)
    looked.since = {key: since - seconds for key, since in looked.since.items()}
    return workloads.status(seen, name, "", looked) if seconds else found


def test_a_service_is_healthy_when_the_pods_of_its_newest_definition_are_ready() -> None:
    assert status(deployment(updatedReplicas=1), pod(ready=True)).state == "healthy"
    assert status(deployment(updatedReplicas=1), pod()).state == "starting"
    assert status(deployment(generation=2, updatedReplicas=1), pod(ready=True)).state == "starting", "not yet seen"
    older = pod(ready=True)
    older["metadata"]["labels"]["pod-template-hash"] = "0"
    assert status(deployment(updatedReplicas=0), older).state == "starting"


def test_a_service_without_replicas_is_stopped() -> None:
    assert status(deployment(replicas=0)).state == "stopped"


def test_a_service_that_crashes_says_how_and_how_often() -> None:
    crashed = {"terminated": {"exitCode": 1, "reason": "Error"}}
    found = status(
        deployment(),
        pod(containerStatuses=[container(restarts=2, last=crashed, waiting={"reason": "CrashLoopBackOff"})]),
    )
    assert (found.state, found.why, found.crashes) == ("restarting", "exited with 1; restarted 2 times", 3)
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = container(restarts=1, last=killed, waiting={"reason": "CrashLoopBackOff"})
    assert "more memory than its limit" in status(deployment(), pod(containerStatuses=[waiting])).why


def test_a_part_that_runs_first_is_named_when_it_crashes() -> None:
    ended = container("migrate", terminated={"exitCode": 2})
    found = status(deployment(), pod(initContainerStatuses=[ended], containerStatuses=[]))
    assert found.why == "migrate exited with 2"


@pytest.mark.parametrize(
    ("reason", "message", "at_once"),
    [
        ("ErrImagePull", "manifest for it not found", True),
        ("ErrImagePull", "401 Unauthorized", True),
        ("InvalidImageName", "", True),
        ("ErrImageNeverPull", "", True),
        ("ErrImagePull", "dial tcp: i/o timeout", False),
    ],
)
def test_an_image_that_cannot_be_pulled(reason: str, message: str, at_once: bool) -> None:
    pulled = pod(containerStatuses=[container(waiting={"reason": reason, "message": message})])
    found = status(deployment(), pulled)
    assert found.state == ("failed" if at_once else "starting")
    assert found.why.startswith(f"the image {IMAGE} cannot be pulled")
    assert "REGISTRY=" in found.why
    assert status(deployment(), pulled, seconds=60).state == "failed"


def test_after_the_first_try_the_reason_is_in_an_event() -> None:
    pulled = pod(containerStatuses=[container(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling"})])
    found = status(deployment(), pulled, cluster=Cluster(button_1_x="Failed Failed to pull image: not found"))
    assert (found.state, "cannot be pulled: not found" in found.why) == ("failed", True)


def test_only_the_cause_is_told_of_an_image_that_cannot_be_pulled() -> None:
    around = (
        'Failed to pull image "db:18": failed to pull and unpack image "db:18": failed to resolve reference "db:18": '
    )
    waiting = {"reason": "ErrImagePull", "message": f"rpc error: code = Unknown desc = {around}db:18: not found"}
    other = container(waiting=waiting) | {"image": "db:18"}
    found = status(deployment(), pod(containerStatuses=[other]))
    assert found.why.startswith("the image db:18 cannot be pulled: db:18: not found. Name a place")
    assert "POSTGRES_IMAGE=" in found.why


def test_a_stateful_set_keeps_a_pod_that_never_was_ready_and_its_reason_is_said() -> None:
    owner = deployment() | {"kind": "StatefulSet"}
    owner["status"]["updateRevision"] = "2"
    kept = pod(containerStatuses=[container(waiting={"reason": "ErrImageNeverPull"})])
    kept["metadata"]["labels"]["controller-revision-hash"] = "1"
    assert status(owner, kept).state == "failed"
    assert workloads.waiting(kept) == {"ErrImageNeverPull"}


def pending(message: str, volumes: list[str] | None = None) -> Object:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = pod(phase="Pending", conditions=[unscheduled], containerStatuses=[])
    found["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": name}} for name in volumes or []]
    return found


def test_a_pod_that_no_node_can_run_fails_after_some_seconds_in_which_another_one_may_end() -> None:
    message = "0/1 nodes are available: 1 Insufficient memory."
    assert status(deployment(), pending(message)).state == "starting"
    found = status(deployment(), pending(message), seconds=30)
    assert found.state == "failed"
    assert "no node can run it: 0/1 nodes are available: 1 Insufficient memory" in found.why
    growing = Cluster(button_1_x="TriggeredScaleUp pod triggered scale-up")
    assert status(deployment(), pending(message), cluster=growing, seconds=30).state == "starting"


def test_a_volume_without_a_storage_class() -> None:
    cluster = Cluster(pantheon_data="FailedBinding no storage class is set")
    cluster.claims["pantheon-data"] = {"status": {"phase": "Pending"}, "spec": {}}
    unbound = pending("pod has unbound immediate PersistentVolumeClaims", ["pantheon-data"])
    found = status(deployment(), unbound, cluster=cluster, seconds=10)
    assert found.state == "failed"
    assert "the cluster has no default storage class. Name a storage class" in found.why


def test_a_storage_class_that_does_not_exist() -> None:
    cluster = Cluster(pantheon_data='ProvisioningFailed storageclass.storage.k8s.io "fast" not found')
    cluster.claims["pantheon-data"] = {"status": {"phase": "Pending"}, "spec": {"storageClassName": "fast"}}
    unbound = pending("pod has unbound immediate PersistentVolumeClaims", ["pantheon-data"])
    found = status(deployment(), unbound, cluster=cluster)
    assert (found.state, '"fast" not found' in found.why) == ("failed", True)


def test_a_secret_that_is_missing() -> None:
    waiting = container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'})
    found = status(deployment(), pod(containerStatuses=[waiting]), seconds=15)
    assert (found.state, 'secret "keys" not found' in found.why) == ("failed", True)


def test_pods_that_the_cluster_refuses() -> None:
    quota = 'pods "button-1" is forbidden: exceeded quota: small, requested: memory=1Gi'
    failure = {"type": "ReplicaFailure", "status": "True", "message": quota}
    found = status(deployment(conditions=[failure]))
    assert (found.state, "exceeded quota" in found.why, "larger quota" in found.why) == ("failed", True, True)
    security = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsUser=0'
    failure = {"type": "ReplicaFailure", "status": "True", "message": security}
    assert "restricted" in status(deployment(conditions=[failure])).why


def test_a_one_off_of_another_service_is_an_init_container_of_its_pod() -> None:
    owner = deployment("airflow")
    owner["spec"]["template"]["spec"]["initContainers"] = [{"name": "airflow-migrate"}]
    done = {"name": "airflow-migrate", "state": {"terminated": {"exitCode": 0, "finishedAt": LATER}}}
    seen = workloads.Seen(
        {"airflow": owner},
        {"airflow": [pod("airflow", initContainerStatuses=[done])]},
        {"airflow-migrate": "airflow"},
        {"airflow": "1"},
    )
    names = ["airflow-migrate", "airflow"]
    found = workloads.statuses(seen, names, {}, trouble.Look(Cluster()))
    assert [(each.name, each.state) for each in found] == [("airflow-migrate", "completed"), ("airflow", "starting")]
