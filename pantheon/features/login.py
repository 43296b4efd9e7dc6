"""The login in front of Feast's own apps, which have none that works without another server, and of the API.

ASGI: the check comes before the app, so it covers everything that an app serves: requests, static files, mounted apps.
"""

import base64
import binascii
import hmac
import json
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE = ("GET", "HEAD", "OPTIONS")


class Guarded:
    """Passes only requests that know the secret to ``app``.

    Args:
        secret: the file that contains it; read at every request, because it may be replaced.
        user: HTTP Basic is accepted with this user name; empty: only ``Authorization: Bearer SECRET``.
        open_paths: paths that need no login, such as ``/healthz``.
    """

    def __init__(self, app: App, secret: Path, user: str = "", open_paths: tuple[str, ...] = ()) -> None:
        self.app, self.secret, self.user, self.open_paths = app, secret, user, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":  # WebSockets: nothing here needs them
            await send({"type": "websocket.close", "code": 1008})
        elif scope["path"] not in self.open_paths and not self.known(header(scope, b"authorization")):
            extra = {"www-authenticate": 'Basic realm="Feast", charset="UTF-8"'} if self.user else {}
            cure = f"Log in as {self.user}: `status` names the file of the password." if self.user else ""
            await refuse(send, 401, "This request needs a login.", cure, extra)
        elif scope["method"] not in SAFE and foreign(scope):
            await refuse(send, 403, "This request comes from a page of another site.", "")
        else:
            await self.app(scope, receive, send)

    def known(self, authorization: str) -> bool:
        """Whether a request's ``Authorization`` has the secret; compared in constant time."""
        try:
            secret = self.secret.read_bytes().strip()
        except OSError:
            return False
        scheme, _, given = authorization.partition(" ")
        expected, sent = secret, given.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic" and self.user:
            try:
                sent = base64.b64decode(sent, validate=True)
            except (binascii.Error, ValueError):
                return False
            expected = self.user.encode() + b":" + secret
        elif scheme.lower() != "bearer":
            return False
        return bool(secret) and hmac.compare_digest(sent, expected)


def header(scope: Scope, name: bytes) -> str:
    """Return a header's (first) value; empty if it was not sent."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def foreign(scope: Scope) -> bool:
    """Whether a browser sent the request for a page of another site: it adds the password that a user once entered."""
    origin = header(scope, b"origin")
    other = bool(origin) and urllib.parse.urlsplit(origin).netloc != header(scope, b"host")
    return other or header(scope, b"sec-fetch-site") in ("cross-site", "same-site")


async def refuse(send: Send, status: int, message: str, cure: str, headers: dict[str, str] | None = None) -> None:
    """Send an error."""
    body = json.dumps({"error": {"message": message, "cure": cure}}).encode() + b"\n"
    await answer(send, status, body, "application/json", headers)


async def answer(send: Send, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
    """Send a complete answer of the content type ``kind``."""
    all_headers = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store"} | (
        headers or {}
    )
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
