"""Services with ``deploy.update_config.order: start-first``: a container of their own keeps their published port open.

Compose stops a changed container before it starts the new one. Its port would be closed meanwhile, and Docker's proxy
would cut every connection. The keeper's container stays as it is: its image gets a name of its own when it starts.
Other services reach the port by an alias of the service in a network (``networks: {front: {aliases: […]}}``), which is
then the keeper's. The service's own name does not work for them: nothing listens in its container.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pantheon.engines.compose.client import Api
from pantheon.engines.compose.networks import NO_NAMES
from pantheon.engines.definition.model import Model, RawService
from pantheon.errors import PantheonError

LABEL = "pantheon.keeps"  # on a keeper's container: the service
NEEDS = "com.docker.compose.depends_on"  # SERVICE:CONDITION:RESTART, with commas between them
SUFFIX = "-port"
FOLDER = "/ports"  # in both containers
COPIED = ("user", "init", "read_only", "cap_drop", "security_opt", "logging", "pull_policy", "restart", "x-component")
Container = Mapping[str, Any]
PORT = ["python", "-S", "-m", "pantheon.web.port"]


def services(model: Model) -> list[str]:
    """Return the services whose port is kept open."""
    return [
        name
        for name, service in model.services.items()
        if ((service.get("deploy") or {}).get("update_config") or {}).get("order") == "start-first"
        and len(service.get("ports") or []) == 1
    ]


def added(model: Model, project: str, home: Path, reset: Any) -> dict[str, dict[str, Any]]:
    """Return what a compose file adds: the keepers, and changes of the services that it is about.

    Args:
        project: the project's name.
        home: the folder on this machine for the Unix sockets between them.
        reset: the value that removes a key.
    """
    internal = {key for key, network in (model.raw.get("networks") or {}).items() if (network or {}).get("internal")}
    # Compose warns about `deploy.update_config` in every command, because it does not obey it
    changes = {name: {"deploy": reset} for name, service in model.services.items() if service.get("deploy")}
    for name in services(model):
        service = model.services[name]
        # those that publish ports
        networks = {key: value or {} for key, value in (service.get("networks") or {}).items() if key not in internal}
        changes |= _changes(name, service, networks, home / (name + SUFFIX), image(project, name), reset)
    return changes


def _changes(
    name: str, service: RawService, networks: dict[str, dict[str, Any]], folder: Path, image: str, reset: Any
) -> dict[str, dict[str, Any]]:
    keeper, (port,) = name + SUFFIX, service["ports"]
    volume = {"type": "bind", "source": str(folder), "target": FOLDER}
    aliased = {key: network["aliases"] for key, network in networks.items() if network.get("aliases")}
    return {
        keeper: {
            **{key: service[key] for key in COPIED if key in service},
            "image": image,
            "command": [*PORT, "keep", str(port["target"]), f"{FOLDER}/socket"],
            "labels": {LABEL: name},
            "mem_limit": "32m",
            "pids_limit": 16,
            "dns": NO_NAMES,
            "networks": {key: {"aliases": aliased.get(key, [])} for key in networks} if aliased else list(networks),
            "ports": [port],
            "volumes": [volume],
        },
        name: {
            "entrypoint": [*PORT, "take", f"{FOLDER}/socket"],
            "depends_on": {keeper: {"condition": "service_started"}},
            "deploy": reset,
            "environment": {"HEALTH_HOST": keeper},
            **({"networks": {key: {"aliases": reset} for key in aliased}} if aliased else {}),
            "ports": reset,
            "volumes": [volume | {"read_only": True}],  # which allows connecting
        },
    }


def ahead(model: Model, containers: Mapping[str, Container]) -> list[list[str]]:
    """Return what Compose must start before it changes everything else, as arguments of ``up``.

    Compose stops all containers that change or are not needed any more, and starts the new ones then. So what a service
    with a kept port will need starts before that service is replaced, and what it does not need any more ends after it.

    Args:
        containers: of every service, by name.
    """
    kept = [name for name in services(model) if name in containers]
    new = [name for name in _needed(model, kept) if name not in containers]
    left = [name for name in kept if _needs_now(containers[name]) & (containers.keys() - model.services.keys())]
    return [
        *([["--no-recreate", *new]] if new else []),
        *([["--no-deps", *left]] if left else []),
    ]


def _needed(model: Model, names: Iterable[str]) -> list[str]:
    """Return all services that these need, directly or not, in the order in which services start."""
    found, left = set[str](), list(names)
    while left:
        more = (model.services.get(left.pop()) or {}).get("depends_on") or {}
        left += more.keys() - found
        found |= more.keys()
    return [name for name in model.started if name in found]


def _needs_now(container: Container) -> set[str]:
    """Return the services that a container was started after."""
    said = (container["Config"].get("Labels") or {}).get(NEEDS) or ""
    return {each.partition(":")[0] for each in said.split(",")}


def left_out(model: Model, before: Model) -> Model:
    """Return ``model`` as it is without keepers: each port is that of the service.

    Args:
        before: the model without the changes of ``added``.
    """
    found = {name: dict(service) for name, service in model.services.items()}
    for name in found.keys() & before.services.keys():
        if deploy := before.services[name].get("deploy"):
            found[name]["deploy"] = deploy
    for keeper, service in model.services.items():
        if kept := (service.get("labels") or {}).get(LABEL):
            del found[keeper]
            found[kept]["ports"] = before.services[kept]["ports"]
            found[kept]["networks"] = before.services[kept].get("networks")
            found[kept]["depends_on"] = {key: on for key, on in found[kept]["depends_on"].items() if key != keeper}
    return Model({**model.raw, "services": found}, model.digest, model.left_out)


def image(project: str, service: str) -> str:
    return f"pantheon/port-{service}:{project}"


def name_images(api: Api, model: Model, project: str) -> None:
    """Give the image of each service to its keeper, unless the keeper exists: then it stays as it is."""
    kept = {each["Config"]["Image"] for each in api.containers(project) if keeps(each)}
    for name in services(model):
        if (keeper := image(project, name)) not in kept:
            repo, _, tag = keeper.partition(":")
            api.ask(f"/images/{model.services[name]['image']}/tag?repo={repo}&tag={tag}", "POST")


def remove_names(api: Api, project: str) -> None:
    """Remove the names that ``name_images`` gave, of a project without containers."""
    filters = quote(json.dumps({"reference": [image(project, "*")]}))
    for found in api.ask(f"/images/json?filters={filters}") or []:
        for name in found["RepoTags"]:
            if fnmatchcase(name, image(project, "*")):
                with contextlib.suppress(PantheonError):  # another container uses the image, which has no other name
                    api.ask(f"/images/{name}", "DELETE")


def keeps(container: Container) -> bool:
    """Return whether a container is a keeper."""
    return LABEL in (container["Config"].get("Labels") or {})


def without(containers: Mapping[str, Container], model: Model) -> list[str]:
    """Return the services whose containers hold their port themselves: they were started without a keeper."""
    return [
        name for name in services(model) if name in containers and containers[name]["HostConfig"].get("PortBindings")
    ]
