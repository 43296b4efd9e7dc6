"""Client of the service ``kubeflow``, for commands, stages and other services; see ``pantheon.kubeflow.server``."""

import builtins
import os
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pantheon.errors import PantheonError
from pantheon.kubeflow.contract import ALL_NAMESPACES, DEFAULT_NAMESPACE, USER_HEADER, Object
from pantheon.web.client import Answer, Client

NAME = "the service kubeflow"
CURE = "Look at it: `bin/pantheon status`, `bin/pantheon logs --service kubeflow`."
RETRY_SECONDS = 30.0  # a killed service takes a few seconds to come back
POLL_SECONDS = 0.5
ANSWER_SECONDS = 60.0  # the first pipeline that is checked imports kfp, which takes long on a busy machine
WATCH_SECONDS = 0.2  # between two looks at an object that a person watches
ENDS = ("Succeeded", "Complete", "Failed", "Ended")  # conditions


class Failed(PantheonError):
    """The service refused a request.

    Attributes:
        code: the HTTP status: 404 for what is missing, 409 for a conflict, 422 for a manifest that is not valid …
        path: of the field that is not valid; may be empty.
        applied: what was applied before a conflict.
    """

    def __init__(self, code: int, cause: str, cure: str, path: str = "", applied: Any = ()) -> None:
        super().__init__(cause, cure, 1 if code >= 404 and code != 422 else 2)
        self.code, self.path, self.applied = code, path, list(applied)


class Transport(Protocol):
    """Sends requests to the service."""

    def __call__(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send one request and return its answer."""

    def watch(self, path: str, headers: Mapping[str, str], take: Callable[[Answer], None]) -> None:
        """Call ``take`` with an object's answer, and with each later one that differs, until the object has ended."""


class Http:
    """Sends requests over HTTP with the key, again while the service restarts.

    Args:
        address: such as ``http://kubeflow:8003``.
        key_file: read for every request, since it may be replaced.
        retry_seconds: all requests can be repeated safely.
    """

    def __init__(self, address: str, key_file: Path, retry_seconds: float = RETRY_SECONDS) -> None:
        self.address, self.key_file, self.retry_seconds = address, key_file, retry_seconds
        self._client = Client(address, NAME, CURE, timeout=ANSWER_SECONDS)

    def __call__(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            key = self.key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = f"the key of {NAME} cannot be read: {self.key_file}: {error}."
            raise PantheonError(what, "Write it again: `bin/pantheon up`", 1) from None
        sent = {**headers, "Authorization": f"Bearer {key}"}
        return self._client.ask(method, path, body, retry_seconds=self.retry_seconds, headers=sent)

    def watch(self, path: str, headers: Mapping[str, str], take: Callable[[Answer], None]) -> None:
        before = b""
        while True:
            answer = self("GET", path, None, headers)
            if answer.data != before:
                take(answer)
                before = answer.data
            if not answer.ok or has_ended(answer.json()):
                return
            time.sleep(WATCH_SECONDS)


class Kubeflow:
    """Asks the service of one deployment. Every method raises PantheonError.

    Args:
        transport: how requests reach it.
        by: for whom; recorded in objects that are applied.
    """

    def __init__(self, transport: Transport, by: str = "") -> None:
        self._transport, self._by = transport, by

    @classmethod
    def here(cls, by: str = "") -> "Kubeflow":
        """Return the client of the deployment that this process belongs to, by ``KUBEFLOW_URL`` and
        ``KUBEFLOW_KEY_FILE``.

        Raises:
            PantheonError: the environment does not name them.
        """
        address, key_file = os.environ.get("KUBEFLOW_URL", ""), os.environ.get("KUBEFLOW_KEY_FILE", "")
        if not address or not key_file:
            cause = "this deployment has no Kubeflow: KUBEFLOW_URL or KUBEFLOW_KEY_FILE is not set."
            raise PantheonError(cause, "It comes with `make tier-kraken up`.")
        return cls(Http(address, Path(key_file)), by)

    def kinds(self) -> list[dict[str, Any]]:
        """Return ``{"name", "plural", "short", "apiVersions", "group", "actions"}`` of each kind."""
        kinds: list[dict[str, Any]] = self._json("GET", "/kinds")["kinds"]
        return kinds

    def apply(self, manifests: bytes, namespace: str = "") -> list[dict[str, str]]:
        """Apply a YAML text; return ``{"kind", "group", "name", "namespace", "action"}`` of each manifest."""
        done: list[dict[str, str]] = self._json("POST", f"/apply?{_query(namespace=namespace)}", manifests)
        return done

    def get(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> Object:
        """Return an object.

        Raises:
            Failed: with code 404, there is none.
        """
        found: Object = self._json("GET", _path(namespace, kind, name))
        return found

    def table(self, kind: str, name: str = "", namespace: str = ALL_NAMESPACES) -> dict[str, Any]:
        """Return objects for people: see ``Service.list``; with a name, ``rows`` has one."""
        if not name:
            found: dict[str, Any] = self._json("GET", f"{_path(namespace, kind)}?table=1")
            return found
        return {"rows": [self._json("GET", f"{_path(namespace, kind, name)}?table=1")]}

    def delete(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> Object:
        """Have an object deleted; return it. ``gone`` waits until it is."""
        found: Object = self._json("DELETE", _path(namespace, kind, name))
        return found

    def gone(self, kind: str, found: Object, seconds: float, poll: float = POLL_SECONDS) -> bool:
        """Wait until an object that was deleted is gone; return whether it is."""
        metadata = found["metadata"]
        return self._wait(
            lambda: self._uid(kind, metadata["name"], metadata["namespace"]) != metadata["uid"], seconds, poll
        )

    def act(self, kind: str, name: str, action: str, namespace: str = DEFAULT_NAMESPACE) -> Object:
        """Do an action of the kind's controller, such as ``suspend``; return the object."""
        found: Object = self._json("POST", _path(namespace, kind, name, action))
        return found

    def logs(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> list[dict[str, Any]]:
        """Return ``{"name", "bytes", "modified"}`` of each log of an object."""
        logs: list[dict[str, Any]] = self._json("GET", _path(namespace, kind, name, "logs"))["logs"]
        return logs

    def log(
        self, kind: str, name: str, log: str, begin: int = 0, namespace: str = DEFAULT_NAMESPACE
    ) -> tuple[bytes, int]:
        """Return a part of a log, and where the next part begins; see ``Service.log``."""
        answer = self._send("GET", f"{_path(namespace, kind, name, 'logs', *log.split('/'))}?from={begin}", None)
        return answer.data, int(answer.headers.get("x-end", begin + len(answer.data)))

    def wait(
        self,
        kind: str,
        name: str,
        until: Callable[[Object], bool],
        seconds: float,
        namespace: str = DEFAULT_NAMESPACE,
        poll: float = POLL_SECONDS,
    ) -> Object | None:
        """Wait until ``until(object)`` is true; return the object, None if it was not within ``seconds``."""
        seen: list[Object] = []

        def right() -> bool:
            seen[:] = [self.get(kind, name, namespace)]
            return until(seen[0])

        return seen[0] if self._wait(right, seconds, poll) else None

    def follow(
        self, kind: str, name: str, seen: Callable[[Object], None], namespace: str = DEFAULT_NAMESPACE
    ) -> Object:
        """Call ``seen`` with an object, and after each change, until it has ended; return it."""
        last: list[Object] = []

        def take(answer: Answer) -> None:
            last[:] = [_checked(answer).json()]
            seen(last[0])

        headers = {USER_HEADER: self._by} if self._by else {}
        self._transport.watch(_path(namespace, kind, name), headers, take)
        return last[0]

    def changes(self, namespace: str = ALL_NAMESPACES, most: int = 50) -> builtins.list[dict[str, Any]]:
        """Return the last changes, newest first: see ``Service.changes``."""
        found: builtins.list[dict[str, Any]] = self._json("GET", f"/activity/{namespace}?most={most}")["changes"]
        return found

    def list(self, kind: str, namespace: str = ALL_NAMESPACES) -> list[Object]:
        """Return all objects of a kind, oldest first."""
        items: list[Object] = self._json("GET", _path(namespace, kind))["items"]
        return items

    def _wait(self, right: Callable[[], bool], seconds: float, poll: float) -> bool:
        end = time.monotonic() + seconds
        while not right():
            if time.monotonic() >= end:
                return False
            time.sleep(poll)
        return True

    def _uid(self, kind: str, name: str, namespace: str) -> str:
        try:
            return str(self.get(kind, name, namespace)["metadata"]["uid"])
        except Failed as error:
            if error.code == 404:
                return ""
            raise

    def _json(self, method: str, path: str, body: bytes | None = None) -> Any:
        answer = self._send(method, path, body)
        try:
            return answer.json()
        except ValueError as error:
            raise PantheonError(f"{NAME} sent an invalid answer: {error}.", CURE, 1) from None

    def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {USER_HEADER: self._by} if self._by else {}
        if body is not None:
            headers["Content-Type"] = "application/yaml"
        return _checked(self._transport(method, path, body, headers))


def has_ended(found: Object) -> bool:
    """Return whether an object is finished: one of the conditions that end it is true, and it has not changed since."""
    status = found["status"]
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return False
    return any(each["type"] in ENDS and each["status"] == "True" for each in status.get("conditions", []))


def _checked(answer: Answer) -> Answer:
    """Return an answer that is not a refusal.

    Raises:
        Failed: it is one.
    """
    if answer.ok:
        return answer
    cause = answer.reason("error", "message")
    if cause.startswith("status "):
        raise Failed(answer.status, f"{NAME} answered with {cause}.", CURE)
    error = answer.json()["error"]
    applied = answer.json().get("applied", ())
    raise Failed(answer.status, cause, error.get("cure", ""), error.get("path", ""), applied)


def _query(**given: str) -> str:
    return urllib.parse.urlencode({name: value for name, value in given.items() if value})


def _path(*parts: str) -> str:
    return "/objects/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)
