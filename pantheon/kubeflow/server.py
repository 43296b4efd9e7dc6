"""The service's HTTP interface. It requires the key, except for the health check; every answer but a log is JSON.

``POST /apply?namespace=`` (YAML), ``GET /kinds``, ``GET /objects/NAMESPACE/KIND[/NAME][?table=1]`` (``-``: all
namespaces), ``DELETE /objects/NAMESPACE/KIND/NAME[?uid=]``, ``GET …/NAME/logs`` and ``…/logs/LOG[?from=BYTE]``,
``POST …/NAME/ACTION``, ``GET /activity/NAMESPACE[?most=]``, ``GET /healthz``. An error is
``{"error": {"message", "cure", "path"?}}``.
"""

import asyncio
import hmac
import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError, describe
from pantheon.kubeflow import disk, manifests
from pantheon.kubeflow.contract import USER_HEADER
from pantheon.kubeflow.service import Refusal, Service, query, refusal
from pantheon.web.messages import BodyError, Response
from pantheon.web.server import Request

THREADS = 8
MOST_USER = 100  # characters of a user's name
ADDRESSES = "See /kinds, /apply, /objects/NAMESPACE/KIND/NAME."


class App:
    """The application.

    Args:
        service: does the work.
        key: the file with the key that callers send as ``Authorization: Bearer …``; read for every request.
    """

    def __init__(self, service: Service, key: Path) -> None:
        self.service, self.key = service, key
        self.threads = ThreadPoolExecutor(THREADS, "request")

    async def __call__(self, request: Request) -> Response:
        # Before the body, so that nobody without the key takes memory.
        if request.path == "/healthz":  # not in a thread: each of them may be busy with a slow request
            return self.answered(request, b"")
        if denied := self.denied(request.header("authorization")):
            return denied
        try:
            body = await request.body(manifests.MOST_BYTES)
        except BodyError as error:
            if error.status != 413:
                raise
            at_most = f"the limit is {manifests.MOST_BYTES:,} bytes"
            return answer(
                413,
                Refusal(
                    413, f"The request's body is too large: {at_most}.", "Apply the manifests in several parts."
                ).body,
            )
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.answered, request, body)

    def quick(self, request: Request) -> None:
        """None: every request may read files."""

    def refuse(self, status: int, message: str) -> Response:
        return answer(status, Refusal(status, message).body)

    def answered(self, request: Request, body: bytes) -> Response:
        try:
            return self.route(request, body)
        except Refusal as refused:
            return answer(refused.status, refused.body)
        except PantheonError as error:
            known = refusal(error)
            return answer(known.status, known.body)
        except OSError as error:
            said, status = describe(error), 507 if disk.is_full(error) else 503
            if status == 503:
                traceback.print_exc(file=sys.stderr)
            return answer(status, Refusal(status, said.cause, said.cure).body)
        except Exception:  # noqa: BLE001 - the service keeps running; the error is logged
            traceback.print_exc(file=sys.stderr)
            return self.refuse(500, "An internal error occurred; see the service's log.")

    def route(self, request: Request, body: bytes) -> Response:
        method, asked = request.method, query(request.query)
        parts = request.path.split("/")[1:]
        match parts:
            case ["healthz"]:
                allow(method, "GET", "HEAD")
                manager = self.service.manager
                return answer(200, {"status": "ok", "objects": len(manager.store), "active": len(manager.threads)})
            case ["kinds"]:
                allow(method, "GET", "HEAD")
                return answer(200, self.service.kinds())
            case ["apply"]:
                allow(method, "POST")
                return answer(200, self.service.apply(body, asked.get("namespace", ""), user(request)))
            case ["objects", namespace, kind]:
                allow(method, "GET", "HEAD")
                return answer(200, self.service.list(namespace, kind, asked.get("table") == "1"))
            case ["objects", namespace, kind, name]:
                allow(method, "GET", "HEAD", "DELETE")
                key = self.service.key(namespace, kind, name)
                if method == "DELETE":
                    return answer(202, self.service.delete(key, asked.get("uid", ""), user(request)))
                return answer(200, self.service.get(key, asked.get("table") == "1"))
            case ["objects", namespace, kind, name, "logs"]:
                allow(method, "GET", "HEAD")
                return answer(200, self.service.logs(self.service.key(namespace, kind, name)))
            case ["objects", namespace, kind, name, "logs", *log]:
                allow(method, "GET", "HEAD")
                return self.log(self.service.key(namespace, kind, name), "/".join(log), asked.get("from", "0"))
            case ["objects", namespace, kind, name, action]:
                allow(method, "POST")
                return answer(200, self.service.act(self.service.key(namespace, kind, name), action, user(request)))
            case ["activity", namespace]:
                allow(method, "GET", "HEAD")
                return answer(200, self.service.changes(namespace, asked.get("most", "50")))
        raise Refusal(404, "There is nothing at this address.", ADDRESSES)

    def log(self, key: Any, name: str, begin: str) -> Response:
        if not begin.removeprefix("-").isdecimal() or not begin.isascii() or len(begin) > 18:
            raise Refusal(400, f"from={begin[:40]} is not a number of bytes.", "Use such as from=0, or from=-65536.")
        content, end, size = self.service.log(key, name, int(begin))
        headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
        headers += [("x-content-type-options", "nosniff"), ("x-end", str(end)), ("x-size", str(size))]
        return Response(200, content, headers)

    def denied(self, header: str) -> Response | None:
        """Return the answer to a request without the key, which is compared in constant time; None: it has it."""
        try:
            key = self.key.read_bytes().strip()
        except OSError as error:
            return self.refuse(503, f"The service's key cannot be read: {error.strerror}.")
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), key)
        if key and scheme.lower() == "bearer" and same:
            return None
        refused = Refusal(401, "This request requires the service's key: Authorization: Bearer KEY.")
        return answer(401, refused.body)


def allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refusal(405, f"This address takes {' or '.join(allowed)}.")


def user(request: Request) -> str:
    """Return for whom the caller asks; empty if it does not say.

    Raises:
        Refusal: it is not a name.
    """
    said = request.header(USER_HEADER)
    if len(said) > MOST_USER or not said.isprintable():
        raise Refusal(400, f"The header {USER_HEADER} is not a user's name.")
    return said


def answer(status: int, value: Any) -> Response:
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    if status == 401:
        headers.append(("www-authenticate", "Bearer"))
    return Response(status, json.dumps(value).encode() + b"\n", headers)
