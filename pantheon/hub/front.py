"""Serve a WSGI application behind the login of JupyterHub, with Pantheon's HTTP server."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pantheon.hub.oauth import CALLBACK, Application, Login
from pantheon.hub.session import Hub
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request, Server
from pantheon.web.wsgi import Wsgi

HEALTH = "/healthz"
BODY_BYTES = 1 << 20
THREADS = 16


class Front:
    """The application as one of ``pantheon.web.server``; only its health needs no login.

    Args:
        limit: bytes of a request's body.
    """

    def __init__(self, app: Application, limit: int = BODY_BYTES) -> None:
        self.app = Wsgi(app, ThreadPoolExecutor(THREADS, "request"), limit)

    async def __call__(self, request: Request) -> Response:
        if request.path == HEALTH:
            return Response(200, b'{"status": "ok"}\n', [("content-type", "application/json")])
        return await self.app(request)

    def quick(self, request: Request) -> Quick | None:
        return None

    def refuse(self, status: int, message: str) -> Response:
        body = json.dumps({"error": {"message": message, "cure": ""}}).encode() + b"\n"
        return Response(status, body, [("content-type", "application/json")])


def guarded(app: Application, name: str, title: str) -> Login:
    """Put the login in front of an application.

    Args:
        name: as JupyterHub's configuration calls the service.

    Environment: ``NAME_PORT``, ``NAME_TOKEN_FILE``; ``HUB_API_URL`` JupyterHub for services, ``HUB_URL`` for people.

    Raises:
        PantheonError: there is no secret.
    """
    given, prefix = os.environ, name.upper()
    port = int(given[f"{prefix}_PORT"])
    hub = Hub(given["HUB_API_URL"], given["HUB_URL"], name, f"http://127.0.0.1:{port}{CALLBACK}")
    return Login(app, hub, port, Path(given[f"{prefix}_TOKEN_FILE"]), title)


def serve(login: Login, host: str) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    name = login.hub.name
    server = Server(host, login.port, Front(login))
    try:
        server.prepare()
    except OSError as error:
        print(f"{name}: cannot listen on {host}:{login.port}: {error}.", file=sys.stderr)
        return 1
    server.run(lambda: print(f"{name}: listening on {host}:{login.port}", file=sys.stderr, flush=True))
    return 0
