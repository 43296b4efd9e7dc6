"""What Docker would answer with riddles, asked before: a name in use from another folder, a port that is taken."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pantheon.engines import ports
from pantheon.engines.docker_api import Api
from pantheon.engines.docker_model import Model, Project
from pantheon.errors import PantheonError


def check_foreign(api: Api, project: Project) -> None:
    """Two deployments of one name in different folders would be one project to Docker.

    Raises:
        PantheonError: there is one; names its folder.
    """
    for container in api.containers(project.name):
        binds = [Path(mount["Source"]) for mount in container.get("Mounts") or [] if mount.get("Type") == "bind"]
        if any(path.is_relative_to(project.state) for path in binds):
            return
        if binds:
            raise PantheonError(
                f"Docker already runs a project {project.name!r} from another folder ({binds[0]}).",
                "Choose another name for this deployment: NAME=…",
            )


def check_ports(api: Api, project: Project, model: Model) -> None:
    """Refuse to start where somebody else holds a port.

    Raises:
        PantheonError: says who, and at which ``PORT_OFFSET`` all ports are free.
    """
    own = published(api.containers(project.name))
    wanted = {port: each.name for each in model.planned() if not each.task for port in each.ports}
    for port, service in wanted.items():
        if port in own or not (who := ports.who_holds(port)):
            continue
        for other in api.ask("/containers/json") or []:
            if any(entry.get("PublicPort") == port for entry in other.get("Ports") or []):
                who = f"the container {other['Names'][0].lstrip('/')}"
        offset = ports.free_offset(taken - project.port_offset for taken in wanted)
        free = f"use PORT_OFFSET={offset}, at which every port is free" if offset >= 0 else "set another port"
        raise PantheonError(f"Port {port} of {service} is taken by {who}.", f"Stop it, or {free}.", 1)


def published(containers: Iterable[dict[str, Any]]) -> set[int]:
    """The ports of this machine that containers hold."""
    return {
        int(entry["HostPort"])
        for container in containers
        for entries in (container["NetworkSettings"].get("Ports") or {}).values()
        for entry in entries or []
    }
