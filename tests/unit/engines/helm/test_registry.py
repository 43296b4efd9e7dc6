"""A registry that refuses an image: what the Docker engine says, and what the user reads."""

import pytest

from pantheon.engines.helm.images import Registry, names, tag_of, values
from pantheon.engines.helm.registry import is_insecure, refusal


@pytest.mark.parametrize(
    ("said", "cause", "cure"),
    [
        ("no basic auth credentials", "needs a login", "`docker login registry.example.com`"),
        ("unauthorized: authentication required", "needs a login", "`docker login registry.example.com`"),
        (
            "denied: requested access to the resource is denied",
            "does not let this login push",
            "log in as somebody who may push there",
        ),
        (
            'Get "https://registry.example.com/v2/": dial tcp: lookup registry.example.com: no such host',
            "there is no host registry.example.com",
            "Check the name",
        ),
        (
            'Get "https://registry.example.com/v2/": dial tcp 10.0.0.9:443: connect: connection refused',
            "does not answer",
            "Check the name and the port",
        ),
        (
            'Get "https://registry.example.com/v2/": tls: failed to verify certificate: x509: certificate signed by '
            "unknown authority",
            "is not trusted",
            "/etc/docker/certs.d/registry.example.com/ca.crt",
        ),
        (
            'Get "https://registry.example.com/v2/": http: server gave HTTP response to HTTPS client',
            "does not use TLS",
            '"insecure-registries": ["registry.example.com"]',
        ),
        (
            "name unknown: The repository with name 'team/pantheon-serving' does not exist in the registry",
            "has no repository for",
            "Create the repository",
        ),
        ("unknown: blob upload: no space left on device", "has no space left", "Delete old images"),
        ("", "could not be pushed to registry.example.com: no reason given", "log"),
    ],
)
def test_a_refusal_names_the_cause_and_the_next_command(said: str, cause: str, cure: str) -> None:
    error = refusal("registry.example.com/team/pantheon-serving:1", "registry.example.com/team", said)
    assert cause in error.cause
    assert cure in error.cure


@pytest.mark.parametrize(
    ("host", "insecure"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("registry.internal:5000", True),
        ("registry.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_a_certificate_is_checked_unless_the_docker_engine_does_not(host: str, insecure: bool) -> None:
    configs = {"registry.internal:5000": {"Secure": False}, "docker.io": {"Secure": True}}
    assert is_insecure(host, {"RegistryConfig": {"IndexConfigs": configs}}) == insecure


def test_names_in_pods_change_with_the_sources_and_become_values_of_the_chart() -> None:
    registry = Registry.of({"IMAGES_REGISTRY": "localhost:5000/team", "IMAGES_REGISTRY_IN_CLUSTER": "inside/team"})
    assert registry and registry.prefix == "localhost:5000/team/pantheon-"
    assert Registry.of({}) is None
    found = names(["pantheon/serving:1", "pantheon/airflow:2", "postgres:18"], registry.prefix_in_cluster)
    assert found == {
        "pantheon/serving:1": f"inside/team/pantheon-serving:{tag_of('serving')}",
        "pantheon/airflow:2": f"inside/team/pantheon-airflow:{tag_of('airflow')}",
        "postgres:18": "postgres:18",
    }
    assert values(found) == {
        "prefix": "inside/team/pantheon-",
        "tags": {"serving": tag_of("serving"), "airflow": tag_of("airflow")},
    }
