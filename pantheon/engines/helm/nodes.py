"""Recognise what kind of cluster it is, and load images into its nodes where no registry is needed."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.errors import PantheonError

ARCHIVE = "ARCHIVE"  # stands for the archive's path in a command
SOCKETS = ("/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock")
NEEDS = "Name a registry that this machine may push to and the nodes can pull from: REGISTRY=registry.example.com/team."
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Way:
    """How images come to a cluster's nodes without a registry.

    Attributes:
        kind: the cluster's kind, for messages: ``kind``.
        command: loads an archive that is not compressed, which ``ARCHIVE`` stands for; empty if the nodes share the
            images of this machine's Docker engine.
        environment: variables for the commands.
        install: how to get the command, if it is missing.
        listings: commands that list the images of a node, one a line, for each node.
    """

    kind: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    install: str = ""
    listings: tuple[tuple[str, ...], ...] = ()

    @property
    def shared(self) -> bool:
        return not self.command

    def check(self) -> None:
        """Raise PantheonError if the command is not installed."""
        if self.command and not shutil.which(self.command[0]):
            raise PantheonError(
                f"the command {self.command[0]}, which loads images into {self.kind}, is not installed.",
                f"{self.install} Or name a registry: REGISTRY=registry.example.com/team.",
            )

    def present(self, nodes: Sequence[Object]) -> set[str]:
        """Return the images that every node has, by their full names, as the container runtimes list them."""
        found = []
        for command in self.listings:
            try:
                done = subprocess.run(
                    command, env=os.environ | self.environment, capture_output=True, text=True, check=False, timeout=60
                )
            except (OSError, subprocess.TimeoutExpired):
                return present(nodes)
            if done.returncode:
                return present(nodes)
            found.append({line.strip() for line in done.stdout.splitlines()})
        return set.intersection(*found) if found else present(nodes)

    def load(self, archive: Path) -> None:
        """Load an archive of images into all nodes.

        Raises:
            PantheonError: it could not be loaded.
        """
        self.check()
        command = [str(archive) if word == ARCHIVE else word for word in self.command]
        terminal.echo(" ".join([*(f"{key}={value}" for key, value in self.environment.items()), *command]))
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise self.failure(done.stderr or done.stdout)

    def failure(self, said: str) -> PantheonError:
        """Return the error for a command that failed.

        Args:
            said: its output.
        """
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "no reason given")[:300]
        lower = said.lower()
        cause = f"the images could not be loaded into {self.kind}: {last}."
        if "permission denied" in lower:
            return PantheonError(cause, f"Run the command as root, or as a user who may use {self.command[0]}.", 1)
        if "failed to dial" in lower:
            return PantheonError(cause, "Start containerd, or name its socket: CONTAINERD_ADDRESS=….", 1)
        if "no space left" in lower:
            return PantheonError(cause, "Free some space on the nodes' disk, then run the command again.", 1)
        return PantheonError(cause, f"Check the cluster, then run the command again. {NEEDS}", 1)


def recognise(
    context: str,
    nodes: Sequence[Object],
    environment: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.exists,
) -> Way:
    """Return how images come to the nodes of a cluster without a registry.

    Args:
        context: the name of the context in the user's kubeconfig.
        nodes: the cluster's nodes, as the API has them; empty if the user may not read them.
        environment: ``CONTAINERD_ADDRESS`` is the socket of the containerd that the cluster's node uses.
        exists: whether there is a file.

    Raises:
        PantheonError: nodes of other machines pull images from a registry.
    """
    providers = {str(node["spec"].get("providerID") or "") for node in nodes}
    kind = next((m for each in providers if (m := re.match(r"kind://[^/]*/([^/]+)/", each))), None)
    if kind is None and not nodes:
        kind = re.match("kind-(.+)", context)
    if context == "docker-desktop" or any(_name(node) == "docker-desktop" for node in nodes):
        return Way("Docker Desktop")
    if kind:
        command = ("kind", "load", "image-archive", ARCHIVE, "--name", kind[1])
        return Way("kind", command, install="Install kind.", listings=_in_containers(nodes))
    if match := re.match("k3d-(.+)", context):
        command = ("k3d", "image", "import", ARCHIVE, "--cluster", match[1])
        return Way("k3d", command, install="Install k3d.", listings=_in_containers(nodes))
    profile = next((p for node in nodes if (p := node["metadata"].get("labels", {}).get("minikube.k8s.io/name"))), "")
    if profile or (context == "minikube" and not nodes):
        own = ("minikube", "--profile", profile or "minikube", "image")
        return Way("minikube", (*own, "load", ARCHIVE), install="Install minikube.", listings=((*own, "ls"),))
    return _on_this_machine(nodes, environment, exists)


def _on_this_machine(nodes: Sequence[Object], environment: Mapping[str, str], exists: Callable[[str], bool]) -> Way:
    """Return the way into the only node's containerd or Docker engine, if that node is this machine."""
    given = environment.get("CONTAINERD_ADDRESS", "")
    if not given:
        if not nodes:
            cause = "the nodes of this cluster cannot be read, so it is not known how images come to them."
            raise PantheonError(cause, NEEDS)
        if len(nodes) > 1 or not is_this_machine(nodes[0]):
            why = "it has several nodes" if len(nodes) > 1 else f"its node {_name(nodes[0])} is another machine"
            raise PantheonError(f"images cannot be loaded into this cluster: {why}.", NEEDS)
        runtime = str(nodes[0].get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", ""))
        if runtime.startswith("docker://"):
            return Way("this machine's Docker engine")
        if not runtime.startswith("containerd://"):
            raise PantheonError(f"images cannot be loaded into {runtime or 'the node'}.", NEEDS)
    address = given or next((each for each in SOCKETS if exists(each)), SOCKETS[0])
    own, install = ("ctr", "--namespace", "k8s.io", "images"), "Install containerd's command ctr."
    variables = {"CONTAINERD_ADDRESS": address}
    return Way("this machine's containerd", (*own, "import", ARCHIVE), variables, install, ((*own, "ls", "--quiet"),))


def _in_containers(nodes: Sequence[Object]) -> tuple[tuple[str, ...], ...]:
    """Return the commands that list the images of nodes that are containers of this machine's Docker engine."""
    command = ("ctr", "--namespace", "k8s.io", "images", "ls", "--quiet")
    return tuple(("docker", "exec", _name(node), *command) for node in nodes)


def is_this_machine(node: Object) -> bool:
    """Return whether a node is the machine that this process runs on."""
    import psutil

    addresses = {str(each["address"]) for each in node.get("status", {}).get("addresses", [])}
    own = {address.address for found in psutil.net_if_addrs().values() for address in found}
    return bool(addresses & (own | {socket.gethostname()}))


def present(nodes: Sequence[Object]) -> set[str]:
    """Return the images that every node says it has, by their full names: ``docker.io/library/postgres:18``.

    A node lists its 50 largest images, and new ones after up to a minute. One that it does not list is loaded again,
    which changes nothing.
    """
    sets = [
        {name for image in node.get("status", {}).get("images") or [] for name in image.get("names") or []}
        for node in nodes
    ]
    return set.intersection(*sets) if sets else set()


def full_name(image: str) -> str:
    """Return an image's name with its registry, as nodes list it."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])
