"""Find the Docker engine of this machine and query it over its socket. Changes are made by Compose."""

import hashlib
import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pantheon.errors import PantheonError

DEFAULT = "unix:///var/run/docker.sock"
RECOMMENDED = 25  # older engines do not support start_interval, so a service becomes healthy later
OLDEST = 20
OR_LOCAL = "or use ENGINE=local, which does not need Docker"


@dataclass(frozen=True)
class DockerEngine:
    """A running Docker engine.

    Attributes:
        host: its address, such as ``unix:///var/run/docker.sock``.
        version: such as ``28.5.2``.
        rootless: root in containers is the current user, so containers run as 0:0 to own the state folder.
    """

    host: str
    version: str
    rootless: bool

    @property
    def major(self) -> int:
        number = self.version.partition(".")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def supports_start_interval(self) -> bool:
        return self.major >= RECOMMENDED


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def host_of(environment: Mapping[str, str]) -> str:
    """Return the engine's address: DOCKER_HOST, else that of the current Docker context, else the default."""
    if given := environment.get("DOCKER_HOST"):
        return given
    folder = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/")) / ".docker")
    context = environment.get("DOCKER_CONTEXT", "")
    try:
        context = context or json.loads((folder / "config.json").read_text(encoding="utf-8")).get("currentContext", "")
        if context and context != "default":
            digest = hashlib.sha256(context.encode()).hexdigest()
            meta = json.loads((folder / "contexts/meta" / digest / "meta.json").read_text(encoding="utf-8"))
            return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError):
        pass  # no valid configuration: use the default, as `docker` does
    return DEFAULT


class Api:
    """Client for the API of one Docker engine.

    Args:
        host: ``unix://PATH``.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.path = host.removeprefix("unix://")

    def ask(self, path: str, method: str = "GET", timeout: float = 20.0, body: Any = None) -> Any:
        """Send a request and return the answer's JSON; None if the object does not exist.

        Args:
            body: a JSON value to send.

        Raises:
            OSError: the engine does not answer.
            PantheonError: the engine rejected the request; carries its message.
        """
        connection = Connection(self.path, timeout)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"the server at {self.path} is not a Docker engine: {error}") from None
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise PantheonError(
                f"The Docker engine answered with status {answer.status}: {content.decode(errors='replace')[:300]}",
                "",
                1,
            )
        return json.loads(content) if content.strip().startswith((b"{", b"[")) else content.decode(errors="replace")

    def containers(self, project: str) -> list[dict[str, Any]]:
        """Return the ``inspect`` data of a Compose project's containers, without those of ``docker compose run``."""
        filters = quote(json.dumps({"label": [f"com.docker.compose.project={project}"]}))
        listed = self.ask(f"/containers/json?all=1&filters={filters}") or []
        services = [entry for entry in listed if entry["Labels"].get("com.docker.compose.oneoff") != "True"]
        inspected = [self.ask(f"/containers/{entry['Id']}/json") for entry in services]
        return [container for container in inspected if container]

    def memory(self, container: str) -> int:
        """Return the memory of a running container's processes, bytes: anonymous and shared memory, also in tmpfs.

        ``docker stats`` subtracts part of the page cache from the memory in use. That is wrong twice: a container that
        is the first to read an image's files seems to need far more than the next one, and Linux updates the statistics
        up to 2 s later than the total.
        """
        answer = self.ask(f"/containers/{container}/stats?stream=false&one-shot=true") or {}
        stats = (answer.get("memory_stats") or {}).get("stats") or {}
        # cgroup v1 counts the container's groups together under names that begin with "total_"
        names = ("active_anon", "inactive_anon", "unevictable")
        return sum(int(stats.get(f"total_{name}", stats.get(name, 0))) for name in names)

    def pids(self, project: str) -> list[int]:
        """Return the main pids of a Compose project's running containers, also of ``docker compose run``."""
        filters = quote(json.dumps({"label": [f"com.docker.compose.project={project}"]}))
        listed = self.ask(f"/containers/json?filters={filters}") or []
        inspected = [self.ask(f"/containers/{entry['Id']}/json") for entry in listed]
        return [pid for container in inspected if container and (pid := int(container["State"].get("Pid") or 0))]

    def layers(self, image: str) -> dict[str, int]:
        """Return the bytes of every layer of an image; images that share a layer have the same key for it."""
        steps = self.ask(f"/images/{quote(image, safe=':/')}/history") or []
        return {f"{step['Created']} {step['CreatedBy']}": int(step["Size"]) for step in steps if step["Size"]}

    def remove(self, container: str) -> None:
        self.ask(f"/containers/{container}?force=1&v=1", "DELETE")


def find(environment: Mapping[str, str]) -> DockerEngine:
    """Find the Docker engine that the current user can use.

    Raises:
        PantheonError: there is none, the user has no access, or it is too old; with the cure.
    """
    host = host_of(environment)
    if not host.startswith("unix://"):
        raise PantheonError(
            f"DOCKER_HOST={host} is an engine on another machine; its containers cannot access this deployment.",
            f"Unset DOCKER_HOST to use the engine of this machine, {OR_LOCAL}.",
        )
    api = Api(host)
    try:
        version = api.ask("/version", timeout=5.0)
        security = (api.ask("/info", timeout=10.0) or {}).get("SecurityOptions") or []
    except FileNotFoundError:
        raise PantheonError(
            f"No Docker engine is running: the socket {api.path} does not exist.",
            f"Install Docker Engine {RECOMMENDED} or newer and start it, {OR_LOCAL}.",
        ) from None
    except PermissionError:
        raise PantheonError(
            f"A Docker engine is running, but this user has no permission to use it ({api.path}).",
            f"Run `sudo usermod -aG docker {environment.get('USER') or os.getuid()}` and log in again, {OR_LOCAL}.",
        ) from None
    except OSError as error:
        raise PantheonError(
            f"The Docker engine does not answer at {api.path} ({error.strerror or error}).",
            f"Start it, such as with `sudo systemctl start docker`, {OR_LOCAL}.",
        ) from None
    engine = DockerEngine(host, str(version["Version"]), any("rootless" in option for option in security))
    if engine.major < OLDEST:
        raise PantheonError(
            f"The Docker engine {engine.version} is too old for Compose 5.",
            f"Install {RECOMMENDED} or newer, {OR_LOCAL}.",
        )
    return engine


def missing_features(engine: DockerEngine) -> str:
    """Return the disadvantage of an old engine in one sentence; empty if there is none."""
    if engine.supports_start_interval:
        return ""
    return (
        f"Docker Engine {engine.version} is older than {RECOMMENDED} and does not support start_interval: "
        "every start takes some seconds longer, until the next regular health check"
    )
