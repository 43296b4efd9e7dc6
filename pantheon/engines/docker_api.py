"""Finds the Docker engine of this machine and asks it, over its socket; changes are Compose's business."""

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
FEWEST_FEATURES = 25  # engines before it do not know start_interval: a service's health is noticed late
OLDEST = 20
OR_LOCAL = "or use ENGINE=local, which needs none"


@dataclass(frozen=True)
class DockerEngine:
    """An engine that answers.

    Attributes:
        host: its address, such as ``unix:///var/run/docker.sock``.
        version: such as ``28.5.2``.
        rootless: its root is this user, so that containers run as 0:0 to be the owner of the state folder.
    """

    host: str
    version: str
    rootless: bool

    @property
    def major(self) -> int:
        number = self.version.partition(".")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def knows_start_interval(self) -> bool:
        return self.major >= FEWEST_FEATURES


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
    """Where the engine listens: DOCKER_HOST, else the context that ``docker context use`` chose, else the default."""
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
        pass  # no configuration, or one of another tool: the default is what `docker` would take too
    return DEFAULT


class Api:
    """Questions to one engine.

    Args:
        host: ``unix://PATH``.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.path = host.removeprefix("unix://")

    def ask(self, path: str, method: str = "GET", timeout: float = 20.0) -> Any:
        """The answer's JSON; None where there is nothing of that name.

        Raises:
            OSError: nothing answers.
            PantheonError: the engine refuses; its words.
        """
        connection = Connection(self.path, timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"what listens at {self.path} is no Docker engine: {error}") from None
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise PantheonError(
                f"The Docker engine answers {answer.status}: {body.decode(errors='replace')[:300]}", "", 1
            )
        return json.loads(body) if body.strip().startswith((b"{", b"[")) else body.decode(errors="replace")

    def containers(self, project: str) -> list[dict[str, Any]]:
        """What ``inspect`` tells of every container of a Compose project, one-offs of ``run`` left out."""
        filters = quote(json.dumps({"label": [f"com.docker.compose.project={project}"]}))
        found = self.ask(f"/containers/json?all=1&filters={filters}") or []
        services = [each for each in found if each["Labels"].get("com.docker.compose.oneoff") != "True"]
        looked = [self.ask(f"/containers/{each['Id']}/json") for each in services]
        return [each for each in looked if each]

    def memory(self, container: str) -> int:
        """Bytes in use by a running container, page cache that can be given back left out."""
        found = self.ask(f"/containers/{container}/stats?stream=false&one-shot=true") or {}
        stats = found.get("memory_stats") or {}
        more = stats.get("stats") or {}
        return max(int(stats.get("usage", 0)) - int(more.get("inactive_file", more.get("total_inactive_file", 0))), 0)

    def remove(self, container: str) -> None:
        self.ask(f"/containers/{container}?force=1&v=1", "DELETE")


def find(environment: Mapping[str, str]) -> DockerEngine:
    """The engine that answers this user.

    Raises:
        PantheonError: there is none, it may not be used, or it is of no use; with the cure.
    """
    host = host_of(environment)
    if not host.startswith("unix://"):
        raise PantheonError(
            f"DOCKER_HOST={host} is another machine's engine; its containers would not see this deployment.",
            f"Unset DOCKER_HOST to use this machine's, {OR_LOCAL}.",
        )
    api = Api(host)
    try:
        version = api.ask("/version", timeout=5.0)
        security = (api.ask("/info", timeout=10.0) or {}).get("SecurityOptions") or []
    except FileNotFoundError:
        raise PantheonError(
            f"No Docker engine answers: there is no socket {api.path}.",
            f"Install Docker Engine {FEWEST_FEATURES} or newer and start it, {OR_LOCAL}.",
        ) from None
    except PermissionError:
        raise PantheonError(
            f"A Docker engine is there, but this user may not use it ({api.path}).",
            f"Run `sudo usermod -aG docker {environment.get('USER') or os.getuid()}` and log in again, {OR_LOCAL}.",
        ) from None
    except OSError as error:
        raise PantheonError(
            f"The Docker engine does not answer at {api.path} ({error.strerror or error}).",
            f"Start it, such as with `sudo systemctl start docker`, {OR_LOCAL}.",
        ) from None
    found = DockerEngine(host, str(version["Version"]), any("rootless" in option for option in security))
    if found.major < OLDEST:
        raise PantheonError(
            f"The Docker engine {found.version} is too old for Compose 5.",
            f"Install {FEWEST_FEATURES} or newer, {OR_LOCAL}.",
        )
    return found


def missing_features(engine: DockerEngine) -> str:
    """What an old engine costs, one sentence; empty for nothing."""
    if engine.knows_start_interval:
        return ""
    return (
        f"Docker Engine {engine.version} is older than {FEWEST_FEATURES} and does not know start_interval: "
        "each start takes some seconds longer, until the next regular health check"
    )
