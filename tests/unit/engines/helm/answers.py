"""Answers of API servers, as `kubectl get … -o json` prints them, without fields that nothing here reads."""

from typing import Any

Object = dict[str, Any]


def node(name: str, provider: str = "", runtime: str = "containerd://2.1.3", **more: Any) -> Object:
    """A node. Keywords: labels, images (names), cpu, memory, taints, cordoned, ready, address, architecture."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **more.get("labels", {})}},
        "spec": {
            **({"providerID": provider} if provider else {}),
            **({"taints": more["taints"]} if "taints" in more else {}),
            **({"unschedulable": True} if more.get("cordoned") else {}),
        },
        "status": {
            "addresses": [
                {"address": more.get("address", "172.18.0.2"), "type": "InternalIP"},
                {"address": name, "type": "Hostname"},
            ],
            "allocatable": {
                "cpu": more.get("cpu", "8"),
                "ephemeral-storage": "494384794Ki",
                "memory": more.get("memory", "16283280Ki"),
                "pods": "110",
            },
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                {"type": "Ready", "status": "True" if more.get("ready", True) else "False", "reason": "KubeletReady"},
            ],
            "images": [{"names": [each], "sizeBytes": 190_000_000} for each in more.get("images", [])],
            "nodeInfo": {
                "architecture": more.get("architecture", "amd64"),
                "containerRuntimeVersion": runtime,
                "kubeletVersion": "v1.33.1",
                "operatingSystem": "linux",
            },
        },
    }


KIND = node("demo-control-plane", "kind://docker/demo/demo-control-plane")
K3D = node("k3d-demo-server-0", "k3s://k3d-demo-server-0", "containerd://2.0.5-k3s1")
MINIKUBE = node("team", "", "containerd://1.7.27", labels={"minikube.k8s.io/name": "team"}, address="192.168.49.2")
DESKTOP = node("docker-desktop", "", "docker://28.3.2", address="192.168.65.3")
EKS = node("ip-10-0-1-7.ec2.internal", "aws:///eu-west-1a/i-0a1b2c3d4e5f", address="10.0.1.7")


def storage_class(name: str, provisioner: str, default: bool = False) -> Object:
    mark = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": mark},
        "provisioner": provisioner,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def quota(name: str, hard: dict[str, str], used: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"hard": hard},
        "status": {"hard": hard, "used": used},
    }


def limit_range(name: str, **limits: dict[str, Any]) -> Object:
    """A LimitRange; keywords are its types, such as Container."""
    items = [{"type": kind, **given} for kind, given in limits.items()]
    meta = {"name": name, "namespace": "demo"}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": items}}


def allowed(yes: bool, reason: str = "") -> Object:
    return {"kind": "SelfSubjectAccessReview", "status": {"allowed": yes, **({"reason": reason} if reason else {})}}
