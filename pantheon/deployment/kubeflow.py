"""Kubeflow's objects, for commands: how its service is reached, and what users name."""

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.kubeflow import manifests
from pantheon.kubeflow.client import Http, Kubeflow
from pantheon.processes import whoami
from pantheon.web.client import Answer

SERVICE = "kubeflow"
RETRY_SECONDS = 10.0  # a person waits


class InTask:
    """Sends each request by a task: the service's port is not published by containers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        found: list[Answer] = []
        self._ask(method, path, body, headers, found.append)
        return found[0]

    def watch(self, path: str, headers: Mapping[str, str], take: Callable[[Answer], None]) -> None:
        """One task for all changes: a task for each look would cost more than what it looks at."""
        self._ask("WATCH", path, None, headers, take)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], take: Callable[[Answer], None]
    ) -> None:
        sent = None if body is None else base64.b64encode(body).decode()
        asked = {"method": method, "path": path, "body": sent, "headers": dict(headers)}

        def answered(event: dict[str, Any]) -> None:
            take(Answer(event["status"], event["headers"], base64.b64decode(event["data"])))

        Task(self.engine, "pantheon.kubeflow.ask", SERVICE)([], answered, json.dumps(asked).encode())


def has_kubeflow(engine: Engine) -> bool:
    """Return whether the deployment has Kubeflow's service."""
    return any(each.name == SERVICE for each in engine.planned())


def client(deployment: Deployment, engine: Engine) -> Kubeflow:
    """Return a client of the deployment's service, on behalf of the user of this machine.

    Raises:
        PantheonError: the deployment has none.
    """
    if not has_kubeflow(engine):
        raise PantheonError(
            "this deployment does not have Kubeflow, which the tier kraken adds.",
            f"Grow to it: `{deployment.command('up', tier='kraken')}`",
        )
    if not engine.on_host:
        return Kubeflow(InTask(engine), whoami())
    key = deployment.state / "secrets" / SERVICE / "key"
    return Kubeflow(Http(f"http://{engine.address(SERVICE)}", key, RETRY_SECONDS), whoami())


def read(files: Sequence[str]) -> bytes:
    """Return the manifests of files, folders (their YAML and JSON files), and of standard input (``-``), as one text.

    Raises:
        PantheonError: a file cannot be read, or is too large.
    """
    parts = []
    for name in files:
        if name == "-":
            parts.append(sys.stdin.buffer.read(manifests.MOST_BYTES + 1))
            continue
        path = Path(name)
        inside = (
            sorted(each for each in path.glob("*") if each.suffix in (".yaml", ".yml", ".json"))
            if path.is_dir()
            else []
        )
        if path.is_dir() and not inside:
            raise PantheonError(f"{name} has no files *.yaml, *.yml or *.json.", "Name a file with manifests.")
        for each in inside or [path]:
            try:
                with each.open("rb") as file:
                    parts.append(file.read(manifests.MOST_BYTES + 1))
            except OSError as error:
                raise PantheonError(
                    f"{each} cannot be read: {error.strerror}.", "Name a file with manifests.", 1
                ) from None
    if sum(map(len, parts)) > manifests.MOST_BYTES:
        most = f"at most {manifests.MOST_BYTES:,} bytes are taken at once."
        raise PantheonError(f"these manifests are too large: {most}", "Apply the files one after another.")
    return b"\n---\n".join(parts)


def split(kind: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return a kind and names as users give them: ``experiment random``, or ``experiment/random``.

    Raises:
        PantheonError: both ways at once.
    """
    kind, slash, name = kind.partition("/")
    if slash and (names or not name):
        raise PantheonError(
            f"{kind}/{name} and {' '.join(names) or 'no name'} are given.", "Write KIND NAME, or KIND/NAME."
        )
    return kind, [name] if slash else list(names)
