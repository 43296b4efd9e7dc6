"""Push images to a registry with the Docker engine of this machine and the user's login."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from pantheon import terminal
from pantheon.engines.compose import client
from pantheon.engines.compose import images as building
from pantheon.errors import PantheonError

LOGIN = ("no basic auth", "unauthorized", "authentication required", "401 ")
FORBIDDEN = ("denied", "insufficient_scope", "forbidden", "403 ")
HOST = ("no such host", "name resolution", "server misbehaving")
SILENT = ("connection refused", "timeout", "timed out", "no route to host", "connection reset", "deadline exceeded")
NO_REPOSITORY = ("name unknown", "name_unknown", "does not exist", "repository not found")
FULL = ("no space left", "insufficient storage", "quota", "507 ")


def host_of(registry: str) -> str:
    """Return the host of ``registry``, as ``docker login`` takes it."""
    return registry.partition("/")[0]


def has(image: str, architecture: str, api: client.Api) -> bool:
    """Return whether the registry has ``image`` for this architecture. Its tag is a hash of its sources.

    False also if it does not answer or refuses: a push says why.
    """
    insecure = ["--insecure"] if is_insecure(host_of(image), api.ask("/info")) else []
    command = [building.docker_command(), "manifest", "inspect", "--verbose", *insecure, image]
    done = subprocess.run(
        command, env=os.environ | {"DOCKER_HOST": api.host}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        return False
    found = json.loads(done.stdout)
    platforms = [each["Descriptor"].get("platform") or {} for each in (found if isinstance(found, list) else [found])]
    return any(each.get("architecture") == architecture for each in platforms)


def is_insecure(host: str, info: Mapping[str, Any]) -> bool:
    """Return whether the Docker engine, which pushes, accepts that a registry has no valid certificate."""
    known = (info.get("RegistryConfig") or {}).get("IndexConfigs") or {}
    loopback = re.fullmatch(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?", host) is not None
    return loopback or known.get(host, {}).get("Secure") is False


def push(image: str, registry: str, host: str, on_progress: Callable[[str], None]) -> None:
    """Push ``image``, which the Docker engine has under this name.

    Args:
        registry: as in ``REGISTRY=``, for messages.
        host: the Docker engine's address.
        on_progress: called with ``3 of 8 layers``.

    Raises:
        PantheonError: the registry does not answer, or refuses the image.
    """
    terminal.echo(f"docker push {image}")
    command = [building.docker_command(), "push", image]
    process = subprocess.Popen(
        command,
        env=os.environ | {"DOCKER_HOST": host},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout
    layers: dict[str, bool] = {}
    last = ""
    try:
        for line in process.stdout:
            last = line.strip() or last
            if layer := re.match(r"([0-9a-f]{12}): (.+)", line):
                layers[layer[1]] = layer[2].startswith(("Pushed", "Layer already exists", "Mounted"))
                on_progress(f"{sum(layers.values())} of {len(layers)} layers")
    except BaseException:
        process.terminate()
        raise
    finally:
        status = process.wait()
    if status:
        raise refusal(image, registry, last)


def refusal(image: str, registry: str, said: str) -> PantheonError:
    """Return the error for a push that failed.

    Args:
        said: the last line of ``docker push``.
    """
    host, lower = host_of(registry), said.lower()
    said = said.removeprefix("Error response from daemon: ")[:300].rstrip(".")
    if "http response to https" in lower:
        cause = f"the registry {host} does not use TLS, and the Docker engine refuses such registries."
        cure = (
            f'Add "insecure-registries": ["{host}"] to /etc/docker/daemon.json and restart Docker; the nodes of the '
            "cluster need such a setting, too. Better, give the registry a certificate."
        )
    elif "x509" in lower or "certificate" in lower:
        cause = f"the certificate of the registry {host} is not trusted: {said}."
        cure = f"Put the certificate of its authority into /etc/docker/certs.d/{host}/ca.crt; the nodes need it, too."
    elif any(each in lower for each in NO_REPOSITORY):
        cause = f"the registry {host} has no repository for {image}: {said}."
        cure = "Create the repository there, as some registries require, then run the command again."
    elif any(each in lower for each in HOST):
        cause = f"REGISTRY={registry}: there is no host {host}."
        cure = "Check the name, such as REGISTRY=registry.example.com/team."
    elif any(each in lower for each in SILENT):
        cause = f"the registry {host} does not answer: {said}."
        cure = "Check the name and the port in REGISTRY=, and that this machine may connect to it."
    elif any(each in lower for each in LOGIN):
        cause = f"the registry {host} needs a login: {said}."
        cure = f"Log in, then run the command again: `docker login {host}`"
    elif any(each in lower for each in FORBIDDEN):
        cause = f"the registry {host} does not let this login push {image}: {said}."
        cure = f"Check REGISTRY=, or log in as somebody who may push there: `docker login {host}`"
    elif any(each in lower for each in FULL):
        cause = f"the registry {host} has no space left for {image}: {said}."
        cure = "Delete old images there, or have its volume enlarged."
    else:
        cause, cure = (
            f"{image} could not be pushed to {host}: {said or 'no reason given'}.",
            "Check the registry's log.",
        )
    return PantheonError(cause, cure, 1)
