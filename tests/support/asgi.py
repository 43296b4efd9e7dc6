"""Call an ASGI app without a server."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """What an app sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    app: Any,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    pieces: int = 1,
    **more: Any,
) -> Reply:
    """Return the app's answer.

    Args:
        pieces: in how many pieces the body arrives.
        more: of the scope, such as ``type``.
    """
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    plain, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": plain, "query_string": query.encode(), "headers": raw, **more}
    size = max(1, -(-len(body) // pieces))
    parts = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
    reply = Reply()

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        reply.body += message.get("body", b"")
        if message["type"] == "websocket.close":
            reply.status = message["code"]

    asyncio.run(app(scope, receive, send))
    return reply
