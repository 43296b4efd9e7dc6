"""KServe's ModelServer on one address, for whoever has the token.

As it comes, its REST server binds all addresses and answers everybody, and its gRPC server cannot be bound to one.
"""

import logging
import sys
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from hmac import compare_digest
from typing import Any

from fastapi.responses import JSONResponse
from kserve import ModelServer
from kserve.constants.constants import FASTAPI_APP_IMPORT_STRING
from kserve.model_server import app
from kserve.protocol.rest.server import RESTServer

from pantheon.web import sockets
from serving.inference.models import Models
from serving.kserve_server.repository import Extension, Repository

OPEN = ("/", "/v2/health/live", "/v2/health/ready")  # routes that need no token
GRACE_SECONDS = 8
QUIET = ("kserve.trace", "uvicorn.access")  # loggers with a line for each request

Scope = MutableMapping[str, Any]


class Locked:
    """Refuses requests without the token; an ASGI application around another."""

    def __init__(self, inner: Callable[..., Awaitable[None]], token: str) -> None:
        self.inner, self.expected = inner, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not compare_digest(given, self.expected):
                await JSONResponse({"error": "Send the token of KServe."}, 401)(scope, receive, send)
                return
        await self.inner(scope, receive, send)


def serve(host: str, port: int, token: str, models: Models) -> int:
    """Serve ``models`` until a signal stops it; return the exit status."""
    repository = Repository(models)
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")  # KServe's
    server = ModelServer(http_port=port, enable_grpc=False, registered_models=repository)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    app.add_middleware(Locked, token=token)
    rest = RESTServer(
        FASTAPI_APP_IMPORT_STRING, server.dataplane, Extension(repository), port, grace_period=GRACE_SECONDS
    )
    try:
        kept = sockets.inherited(sockets.SOCKET) or sockets.bound(host, port)
        checks = sockets.inherited(sockets.CHECKS)
    except OSError as error:
        print(f"kserve: cannot listen on {host}:{port}: {error}.", file=sys.stderr)
        return 1
    print(f"kserve: listening on http://{host}:{port}", file=sys.stderr, flush=True)
    rest.run(sockets=[each for each in (kept, checks) if each])
    return 0
