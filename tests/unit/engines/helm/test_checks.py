"""What `doctor` says about a cluster, from what its API server answers."""

from dataclasses import replace
from typing import Any

import pytest

from pantheon.engines.helm import checks
from pantheon.engines.helm.doctor import documents
from pantheon.engines.helm.needs import GiB, Needs, of, quantity
from tests.unit.engines.helm.answers import (
    EKS,
    KIND,
    Object,
    allowed,
    limit_range,
    node,
    quota,
    storage_class,
)

LOCAL_PATH = storage_class("standard", "rancher.io/local-path", default=True)
EFS = storage_class("efs", "efs.csi.aws.com")


def workload(kind: str, name: str, memory: str, limit: str, init: str = "", replicas: int = 1) -> Object:
    def container(request: str, most: str) -> Object:
        return {"name": name, "resources": {"requests": {"cpu": "50m", "memory": request}, "limits": {"memory": most}}}

    pod: Object = {"containers": [container(memory, limit)]}
    if init:
        pod["initContainers"] = [container(init, init)]
    spec: Object = {"template": {"spec": pod}}
    if kind == "CronJob":
        spec = {"suspend": True, "jobTemplate": {"spec": spec}}
    else:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def claim(name: str, size: str, mode: str = "ReadWriteOnce", storage: str = "") -> Object:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    spec |= {"storageClassName": storage} if storage else {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


CHART = [
    workload("Deployment", "button", "100Mi", "256Mi"),
    workload("Deployment", "airflow", "400Mi", "768Mi", init="768Mi"),
    workload("StatefulSet", "postgres", "100Mi", "384Mi"),
    workload("CronJob", "workflow", "1Gi", "4Gi"),
    claim("pantheon-data", "20Gi"),
    claim("pantheon-metadata", "8Gi"),
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "front"}, "spec": {}},
]
NEEDS = of(CHART)
ON_MANY = of([*CHART[:4], claim("pantheon-data", "20Gi", "ReadWriteMany", "efs")])


def test_needs_are_what_the_scheduler_reserves() -> None:
    """A pod reserves its containers together, or its largest init container."""
    assert NEEDS.pods == 3
    assert round(NEEDS.services.cpu, 3) == 0.15
    assert NEEDS.services.memory / 2**20 == 100 + 768 + 100
    assert NEEDS.task.memory == GiB
    assert NEEDS.container.limit == 4 * GiB
    assert ("networking.k8s.io", "networkpolicies") in NEEDS.objects
    assert NEEDS.one_node and not ON_MANY.one_node


@pytest.mark.parametrize(
    ("text", "number"),
    [("50m", 0.05), ("1Gi", GiB), ("2", 2), ("16283280Ki", 16283280 * 1024), ("1e3", 1000), ("x", 0)],
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("classes", "needs", "ok", "found"),
    [
        (
            [LOCAL_PATH],
            NEEDS,
            True,
            "standard (rancher.io/local-path, the default), 28 GiB in 2 volumes; ReadWriteOnce",
        ),
        ([EFS], NEEDS, False, "no default storage class; there are: efs"),
        ([], NEEDS, False, "no default storage class; there are: none"),
        ([EFS], ON_MANY, True, "efs (efs.csi.aws.com), 20 GiB in 1 volumes; ReadWriteMany: pods run on any node"),
        ([LOCAL_PATH], ON_MANY, False, "no storage class efs; there are: standard"),
        (None, NEEDS, True, "this user may not read the storage classes"),
    ],
)
def test_storage(classes: Any, needs: Needs, ok: bool, found: str) -> None:
    finding = checks.storage(classes, [], needs)
    assert (finding.ok, finding.fatal) == (ok, not ok)
    assert found in finding.found


def test_a_class_for_one_node_cannot_be_shared_by_several() -> None:
    needs = of([*CHART[:4], claim("pantheon-data", "20Gi", "ReadWriteMany", "standard")])
    finding = checks.storage([LOCAL_PATH], [], needs)
    assert not finding.ok
    assert "volumes.accessMode is ReadWriteMany" in finding.found


def test_volumes_that_are_there_need_no_class() -> None:
    bound = [each | {"status": {"phase": "Bound"}} for each in CHART if each["kind"] == "PersistentVolumeClaim"]
    assert checks.storage([], bound, NEEDS).ok
    lost = [each | {"status": {"phase": "Lost"}} for each in bound]
    assert checks.storage([], lost, NEEDS).found == "the volume of pantheon-data is lost"


def test_missing_permissions_are_named_with_the_command_for_an_administrator() -> None:
    asked = checks.reviews(NEEDS)
    assert checks.permissions(asked, [allowed(True)] * len(asked), "demo").ok
    answers = [allowed(verb != "create" or name != "networkpolicies") for verb, _, name in asked]
    finding = checks.permissions(asked, answers, "demo")
    assert finding.found == "missing: create networkpolicies.networking.k8s.io"
    assert "kubectl create rolebinding pantheon --clusterrole=edit" in finding.cure
    nothing = checks.permissions(asked, [allowed(False)] * len(asked), "demo")
    assert nothing.found.startswith("missing: everything on ")
    assert nothing.found.endswith(" more")
    one = checks.review(("get", "", "pods/log"), "demo")["spec"]["resourceAttributes"]
    assert one == {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "demo"}


def test_answers_of_kubectl_follow_each_other() -> None:
    assert documents('{"a": 1}\n{"b": 2}\n') == [{"a": 1}, {"b": 2}]
    assert documents('{"kind": "List", "items": [{"a": 1}]}') == [{"a": 1}]


@pytest.mark.parametrize(
    ("found", "may", "ok", "text"),
    [
        (None, True, True, "demo does not exist yet; up makes it"),
        (None, False, False, "demo does not exist, and this user may not make it"),
        ({"status": {"phase": "Active"}}, False, True, "demo exists"),
        ({"status": {"phase": "Terminating"}}, True, False, "demo is being deleted"),
    ],
)
def test_the_namespace(found: Object | None, may: bool, ok: bool, text: str) -> None:
    finding = checks.namespace("demo", found, may)
    assert (finding.ok, finding.found) == (ok, text)


def test_pod_security_of_the_namespace_is_shown() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    assert checks.pod_security({"metadata": {"name": "demo", "labels": labels}}).found.startswith(
        "restricted is enforced"
    )
    assert checks.pod_security(None).ok


def quotas(*found: Object, ranges: tuple[Object, ...] = (), pods: tuple[Object, ...] = ()) -> list[checks.Finding]:
    return list(checks.quota(checks.Limits(found, ranges, pods), NEEDS))


def test_a_quota_that_is_too_small_is_shown_with_figures() -> None:
    hard = {"requests.memory": "2Gi", "requests.cpu": "1", "requests.storage": "20Gi", "pods": "10"}
    (finding,) = quotas(quota("team", hard, {"requests.memory": "512Mi", "requests.cpu": "100m", "pods": "1"}))
    assert finding.what == "quota team"
    assert not finding.ok
    assert "requests.memory: 1.9 GiB needed, 1.5 GiB of 2Gi free" in finding.found
    assert "requests.storage: 28.0 GiB needed, 20.0 GiB of 20Gi free" in finding.found
    assert "requests.cpu" not in finding.found


def test_what_the_deployment_uses_already_is_not_counted_twice() -> None:
    hard, used = {"requests.memory": "2Gi"}, {"requests.memory": "968Mi"}
    (alone,) = quotas(quota("team", hard, used))
    pods = tuple({"spec": each["spec"]["template"]["spec"]} for each in CHART[:3])
    (running,) = quotas(quota("team", hard, used), pods=pods)
    assert (alone.ok, running.ok) == (False, True)


def test_a_quota_for_cpu_limits_refuses_pods_without_one() -> None:
    limited = quota("team", {"limits.cpu": "8"}, {"limits.cpu": "0"})
    (finding,) = quotas(limited)
    assert "a container without a CPU limit is refused" in finding.found
    default = limit_range("defaults", Container={"default": {"cpu": "2", "memory": "1Gi"}})
    assert all(each.ok for each in quotas(limited, ranges=(default,)))


def test_limits_of_containers_and_volumes() -> None:
    small = limit_range(
        "small", Container={"max": {"memory": "2Gi"}}, PersistentVolumeClaim={"max": {"storage": "10Gi"}}
    )
    (finding,) = quotas(ranges=(small,))
    assert finding.found == (
        "a container may have 2Gi of memory, one needs 4.0 GiB; a volume may have 10Gi, pantheon-data needs 20 GiB"
    )
    assert quotas() == [checks.Finding("quota", True, "no ResourceQuota or LimitRange in the namespace")]


@pytest.mark.parametrize(
    ("nodes", "needs", "ok", "found"),
    [
        ([KIND], NEEDS, True, "0.20 CPU and 1.9 GiB reserved with a run; the node can give 8.00 CPU and 15.5 GiB"),
        ([node("small", memory="1Gi")], NEEDS, False, "the node can give 8.00 CPU and 1.0 GiB"),
        ([node("a", memory="1Gi"), node("b", memory="1Gi")], NEEDS, False, "the largest node can give"),
        ([node("a", memory="1Gi"), node("b", memory="1Gi")], ON_MANY, True, "the nodes can give 16.00 CPU and 2.0 GiB"),
        (
            [node("a", cordoned=True), node("b", ready=False)],
            NEEDS,
            False,
            "no node accepts the pods: a is cordoned; b is not ready",
        ),
        ([node("a", taints=[{"key": "gpu", "effect": "NoSchedule"}])], NEEDS, False, "a has the taint gpu"),
        ([EKS], replace(NEEDS, selector={"pool": "ml"}), False, "does not have the label pool=ml"),
        (None, NEEDS, True, "this user may not read the nodes"),
    ],
)
def test_capacity(nodes: Any, needs: Needs, ok: bool, found: str) -> None:
    finding = checks.capacity(nodes, needs)
    assert finding.ok == ok
    assert found in finding.found


def test_the_class_of_ingresses() -> None:
    nginx = {"metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}
    plain = {"metadata": {"name": "traefik"}}
    assert checks.ingress([nginx], "").found == "class nginx"
    assert checks.ingress([plain], "").cure == "Set expose.className=traefik."
    assert not checks.ingress([plain], "nginx").ok
    assert "Install an ingress controller" in checks.ingress([], "").cure


def test_gateways() -> None:
    wanted = [{"name": "public", "namespace": "edge"}]
    assert checks.gateways(wanted, lambda name, place: True).ok
    assert "no Gateway public in the namespace edge" in checks.gateways(wanted, lambda name, place: False).found
    assert "does not have the Gateway API" in checks.gateways(wanted, lambda name, place: None).found


def test_the_autoscaler_needs_the_metrics_api() -> None:
    assert checks.metrics(True).ok
    assert "Install the metrics server" in checks.metrics(False).cure
