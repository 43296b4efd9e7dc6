"""The kind of a cluster is recognised, and with it how images come to its nodes."""

import socket

import pytest

from pantheon.engines.helm.nodes import ARCHIVE, full_name, present, recognise
from pantheon.errors import PantheonError
from tests.unit.engines.helm.answers import DESKTOP, EKS, K3D, KIND, MINIKUBE, Object, node

HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("context", "nodes", "command"),
    [
        ("kind-demo", [KIND], ["kind", "load", "image-archive", ARCHIVE, "--name", "demo"]),
        ("renamed", [KIND, KIND], ["kind", "load", "image-archive", ARCHIVE, "--name", "demo"]),
        ("kind-demo", [], ["kind", "load", "image-archive", ARCHIVE, "--name", "demo"]),
        ("k3d-demo", [K3D], ["k3d", "image", "import", ARCHIVE, "--cluster", "demo"]),
        ("anything", [MINIKUBE], ["minikube", "--profile", "team", "image", "load", ARCHIVE]),
        ("minikube", [], ["minikube", "--profile", "minikube", "image", "load", ARCHIVE]),
        ("default", [node(HERE)], ["ctr", "--namespace", "k8s.io", "images", "import", ARCHIVE]),
    ],
)
def test_images_are_loaded_into_clusters_of_one_machine(context: str, nodes: list[Object], command: list[str]) -> None:
    assert list(recognise(context, nodes, {}).command) == command


def test_nodes_that_use_the_docker_engine_of_this_machine_need_no_loading() -> None:
    assert recognise("docker-desktop", [DESKTOP], {}).shared
    assert recognise("docker-desktop", [], {}).shared
    assert recognise("default", [node(HERE, runtime="docker://28.3.2")], {}).shared


def test_the_socket_of_containerd_is_the_given_one_or_the_one_that_exists() -> None:
    k3s = "/run/k3s/containerd/containerd.sock"
    found = recognise("default", [node(HERE)], {}, exists=lambda path: path == k3s)
    assert found.environment == {"CONTAINERD_ADDRESS": k3s}
    given = {"CONTAINERD_ADDRESS": "/run/other.sock"}
    assert recognise("default", [], given).environment == given, "also for somebody who may not read nodes"


@pytest.mark.parametrize(
    ("nodes", "cause"),
    [
        ([EKS], "its node ip-10-0-1-7.ec2.internal is another machine"),
        ([EKS, EKS], "it has several nodes"),
        ([], "the nodes of this cluster cannot be read"),
        ([node(HERE, runtime="cri-o://1.33.0")], "images cannot be loaded into cri-o://1.33.0"),
    ],
)
def test_other_clusters_need_a_registry(nodes: list[Object], cause: str) -> None:
    with pytest.raises(PantheonError, match=cause) as error:
        recognise("production", nodes, {})
    assert "REGISTRY=registry.example.com/team" in error.value.cure


def test_only_images_that_every_node_has_are_there() -> None:
    both, one = "docker.io/library/postgres:18", "localhost/pantheon/serving:1"
    assert present([node("a", images=[both, one]), node("b", images=[both])]) == {both}
    assert present([]) == set()


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("postgres:18", "docker.io/library/postgres:18"),
        ("valkey/valkey:9", "docker.io/valkey/valkey:9"),
        ("registry.example.com/postgres:18", "registry.example.com/postgres:18"),
        ("localhost/pantheon/serving:1", "localhost/pantheon/serving:1"),
    ],
)
def test_nodes_list_full_names(image: str, full: str) -> None:
    assert full_name(image) == full


@pytest.mark.parametrize(
    ("said", "cause", "cure"),
    [
        (
            'ctr: failed to dial "/run/containerd/containerd.sock": connect: permission denied',
            "permission denied",
            "Run the command as root, or as a user who may use ctr.",
        ),
        ('ctr: failed to dial "/run/nothing.sock": timeout', "failed to dial", "CONTAINERD_ADDRESS="),
        ("ctr: write /var/lib/x: no space left on device", "no space left", "Free some space on the nodes' disk"),
        ("", "no reason given", "REGISTRY="),
    ],
)
def test_a_failed_load_says_why(said: str, cause: str, cure: str) -> None:
    error = recognise("default", [node(HERE)], {}).failure(said)
    assert cause in error.cause
    assert cure in error.cure
