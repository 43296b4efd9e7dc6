"""Renderings that several tests of the chart share."""

import pytest

from tests.support import helm
from tests.support.helm import Object

MATRIX = {
    "kserve": (8, {"kserve": {"enabled": True}}),
    "pycaret": (6, {"pycaret": {"enabled": True}}),
    "evidently, alerts": (7, {"settings": {"monitor_report": "evidently", "alerts_leave": True, "monitor": "@hourly"}}),
    "replicas": (7, {"endpoint": {"replicas": 3}, "volumes": {"accessMode": "ReadWriteMany", "storageClass": "nfs"}}),
    "autoscaler": (7, {"endpoint": {"autoscaler": {"enabled": True, "minReplicas": 2}}}),
    "ingress": (
        8,
        {
            "expose": {
                "by": "ingress",
                "hosts": {"button": "page.example.com", "frontend": "robots.example.com", "feast": "feast.example.com"},
                "tls": True,
                "tlsSecret": "wildcard",
                "className": "nginx",
                "annotations": {"example.com/size": "8m"},
            }
        },
    ),
    "gateway": (4, {"expose": {"by": "gateway", "hosts": {"jupyter": "j.example.com"}, "gateways": [{"name": "g"}]}}),
    "external": (
        8,
        {
            "s3": {"external": {"endpoint": "https://s3.example.com", "existingSecret": "007"}},
            "postgres": {"external": {"host": "db.example.com"}},
            "secrets": {"existingSecret": "all-keys"},
            "volumes": {"data": {"existingClaim": "old-data"}, "valkey": {"existingClaim": "old-valkey"}},
            "serviceAccount": {"name": "42"},  # as text, although YAML would read a number
        },
    ),
    "scheduling": (
        5,
        {
            "images": {"prefix": "registry.example.com/ml/", "pullSecrets": ["registry"], "tags": {"serving": "7"}},
            "ca": {"configMap": "company"},
            "networkPolicy": {"enabled": False},
            "pods": {
                "all": {
                    "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "ml", "operator": "Exists"}],
                    "priorityClassName": "high",
                    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                },
                "button": {
                    "resources": {"limits": {"memory": "1Gi"}},
                    "extraEnv": [{"name": "BUTTON_HOST", "value": "::"}],
                    "labels": {"team": "ml"},
                },
            },
        },
    ),
    "pods for tasks": (4, {"airflow": {"executor": "KubernetesExecutor"}}),
    "stopped": (8, {"stopped": True, "endpoint": {"autoscaler": {"enabled": True}}}),
}


def rendered(name: str) -> list[Object]:
    number, values = MATRIX[name]
    return helm.render(number, **values)


@pytest.fixture(params=[*(tier.name for tier in helm.TIERS), *MATRIX])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of every tier, and of the matrix of values."""
    if request.param in MATRIX:
        return rendered(request.param)
    return helm.render(next(tier.number for tier in helm.TIERS if tier.name == request.param))
