"""A deployment as a Compose project: its variables, its use of Docker, and changes for this machine."""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pantheon import files
from pantheon.engines import Options, Planned, ports
from pantheon.engines.compose.client import Api
from pantheon.engines.definition.model import Model, RawService
from pantheon.engines.definition.resolve import LOOPBACK
from pantheon.errors import PantheonError

PASSED = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_CONFIG")
OURS = "pantheon/"
CA = "/etc/pantheon/ca.pem"
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def interpolation(options: Options) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Return a function for the variables' values: ports moved by the offset, and the user's variables.

    Variables of the user that would change paths or hosts inside containers are ignored.
    """

    def values_of(variables: Mapping[str, str]) -> dict[str, str]:
        values = {}
        for name, default in variables.items():
            if name.endswith(("_HOST", "_DIR", "_ENVIRONMENT")) or name == "SOURCE_ROOT":
                continue
            if name in options.environment:
                values[name] = options.environment[name]
            elif name.endswith("_PORT") and default.isdecimal():
                values[name] = str(int(default) + options.port_offset)
        return values

    return values_of


# reading the model ----------------------------------------------------------------------------------------------------


def planned(model: Model) -> list[Planned]:
    """Return every service in start order, including tasks."""
    result = []
    for name, service in model.services.items():
        image = str(service.get("image") or "")
        entries = service.get("ports") or []
        published = tuple(sorted({int(entry["published"]) for entry in entries if entry.get("published")}))
        environment = image.removeprefix(OURS).partition(":")[0] if image.startswith(OURS) else image
        task = bool(service.get("profiles"))
        addresses = address(service), address(service, inside=name)
        result.append(Planned(name, environment, published, addresses[0], task, image, addresses[1]))
    return result


def address(service: RawService, inside: str = "") -> str:
    """Return the address of the first published port, such as ``http://127.0.0.1:8080``; empty if there is none.

    Args:
        inside: the service's name, to get the address for other containers; also of a port that is not published.
    """
    for entry in service.get("ports") or []:
        if published := entry.get("published"):
            scheme = entry.get("app_protocol")
            host, port = (inside, entry["target"]) if inside else (entry.get("host_ip") or LOOPBACK, published)
            return f"{scheme}://{host}:{port}" if scheme else f"{host}:{port}"
    exposed = service.get("expose") or []
    return f"{inside}:{exposed[0]}" if inside and exposed else ""


def images(model: Model, only: str = "") -> list[str]:
    """Return the images of one service, or of all, in start order."""
    services = {only: model.services[only]} if only else model.services
    return list(dict.fromkeys(str(service["image"]) for service in services.values() if service.get("image")))


def binds(service: RawService) -> list[dict[str, Any]]:
    """Return Compose's entries of the folders and files of this machine that are mounted into a service."""
    return [entry for entry in service.get("volumes") or [] if entry.get("type") == "bind"]


def sources(model: Model, below: Path) -> list[Path]:
    """Return the folders and files under ``below`` that are mounted into services: binds and secrets."""
    paths = [Path(entry["source"]) for service in model.services.values() for entry in binds(service)]
    paths += [Path(secret["file"]) for secret in (model.raw.get("secrets") or {}).values() if secret.get("file")]
    return sorted({path for path in paths if path.is_relative_to(below) and path != below})


def let_read(model: Model, root: Path, uid: int) -> None:
    """Let ``uid`` read the repository's files that are mounted into services: a clone under umask 077 closes them."""
    mounted = {Path(entry["source"]) for service in model.services.values() for entry in binds(service)}
    for path in mounted if os.geteuid() == 0 != uid else ():
        if path.is_relative_to(root / "compose") and path.is_file() and not path.stat().st_mode & 0o004:
            path.chmod(path.stat().st_mode | 0o444)


def inside(service: RawService, argument: str, root: Path | None = None) -> str:
    """Translate a path of this machine to the path in the container of ``service``; other arguments are unchanged.

    Args:
        root: the repository; images contain its datasets in ``/app``.
    """
    if not argument.startswith("/"):
        return argument
    for entry in sorted(binds(service), key=lambda e: -len(e["source"])):
        if Path(argument).is_relative_to(entry["source"]):
            return str(Path(entry["target"]) / Path(argument).relative_to(entry["source"]))
    if root and Path(argument).is_relative_to(root / "datasets"):
        return str(Path("/app") / Path(argument).relative_to(root))
    return argument


def check_sources(sources: Iterable[Path], state: Path) -> None:
    """Raise an error if a service has replaced a mounted folder by a link: Docker would mount what the link names."""
    for source in sources:
        for path in (source, *source.parents[: len(source.relative_to(state).parts) - 1]):
            if path.is_symlink():
                raise PantheonError(
                    f"{path} is a link, and a container mounts it. Something in a container may have replaced it.",
                    f"Look at where it leads, then remove it: rm {shlex.quote(str(path))}",
                    1,
                )


# checks before the start, because Docker's own messages are hard to understand ----------------------------------------


def check_foreign(api: Api, options: Options) -> None:
    """Check that no deployment in another folder has the same name: to Docker, both would be the same project.

    Raises:
        PantheonError: there is one; carries its folder.
    """
    state, root = options.state.resolve(), options.root.resolve()
    for container in api.containers(options.name):
        mounted = [Path(mount["Source"]) for mount in container.get("Mounts") or [] if mount.get("Type") == "bind"]
        if any(path.is_relative_to(state) for path in mounted):
            return
        mounted = [path for path in mounted if not path.is_relative_to(root / "compose")]  # every deployment has these
        if mounted:
            raise PantheonError(
                f"Docker already runs a project {options.name!r} from another folder ({mounted[0]}).",
                "Choose another name for this deployment: NAME=…",
            )


def check_ports(api: Api, options: Options, model: Model) -> None:
    """Raise an error if another process or container uses one of the ports."""

    def holder(port: int) -> str | None:
        who = ports.who_holds(port)
        for other in (api.ask("/containers/json") or []) if who else []:
            if any(entry.get("PublicPort") == port for entry in other.get("Ports") or []):
                who = f"the container {other['Names'][0].lstrip('/')}"
        return who

    wanted = {port: plan.name for plan in planned(model) if not plan.task for port in plan.ports}
    ports.check_free(wanted, published(api.containers(options.name)), options.port_offset, holder)


def published(containers: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the ports of this machine that containers use."""
    return {
        int(entry["HostPort"])
        for container in containers
        for entries in (container["NetworkSettings"].get("Ports") or {}).values()
        for entry in entries or []
    }


# changes for this machine ---------------------------------------------------------------------------------------------


def write_override(
    path: Path,
    model: Model,
    ca: Path | None,
    start_interval: bool,
    more: Mapping[str, Any] | None = None,
    keepers: Mapping[str, dict[str, Any]] | None = None,
) -> bool:
    """Write a compose file with the changes for this machine and this deployment. Return whether there are any.

    Args:
        model: services that it leaves out are removed, so that Compose removes their containers as orphans.
        ca: certificates to mount into every service and to set in the usual variables.
        start_interval: the engine supports this key of health checks; if not, the key is removed.
        more: more changes, of networks and of services; see ``networks.changes``.
        keepers: services that keep ports open, and changes of the services that use them; see ``keepers.added``.
    """
    more = more or {}
    services: dict[str, Any] = {name: Reset() for name in model.left_out}
    for name, service in model.services.items():
        changes: dict[str, Any] = dict((more.get("services") or {}).get(name) or {})
        if ca:
            changes["volumes"] = [f"{ca}:{CA}:ro"]
            changes["environment"] = dict.fromkeys(CA_VARIABLES, CA)
        if not start_interval and (service.get("healthcheck") or {}).get("start_interval"):
            changes["healthcheck"] = {"start_interval": Reset()}
        unneeded = [needed for needed, others in model.left_out.items() if name in others]
        if unneeded:
            changes["depends_on"] = {needed: Reset() for needed in unneeded}
        if changes:
            services[name] = changes
    for name, added in (keepers or {}).items():
        services[name] = merged(services.get(name) or {}, added)
    changed = {"services": services, "networks": more.get("networks")}
    text = yaml.dump({key: value for key, value in changed.items() if value}, Dumper=Dumper)
    if not any(changed.values()):
        path.unlink(missing_ok=True)
        return False
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # a task may read it at the same time
        files.write_text(path, text)
    return True


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of both: lists one after the other, mappings together."""
    result = dict(one)
    for key, value in other.items():
        before = result.get(key)
        if isinstance(before, list) and isinstance(value, list):
            result[key] = [*before, *value]
        else:
            result[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return result


class Reset:
    """Compose's ``!reset``: removes the key."""


class Dumper(yaml.SafeDumper):
    pass


Dumper.add_representer(Reset, lambda dumper, _: dumper.represent_scalar("!reset", "null"))
