"""Run a WSGI application behind ``pantheon.web.server``, in threads, so that it does not block other requests."""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

from pantheon.web.messages import BodyError, Response
from pantheon.web.server import Request

REFUSED = "pantheon.refused"  # key of the environ: the BodyError if the body could not be read
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Wsgi:
    """Calls ``app`` in ``threads``.

    The body is read first, up to ``limit`` bytes. If it is larger, too slow or malformed, ``app`` gets an empty body
    and a ``BodyError`` under ``REFUSED`` in the environ, and decides how to report it.
    """

    def __init__(self, app: Application, threads: Executor, limit: int) -> None:
        self.app, self.threads, self.limit = app, threads, limit

    async def __call__(self, request: Request) -> Response:
        refused: BodyError | None = None
        data = b""
        try:
            data = await request.body(self.limit)
        except BodyError as error:
            refused = error
        environ = environ_of(request, data) | {REFUSED: refused}
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.answer, environ)

    def answer(self, environ: dict[str, Any]) -> Response:
        response = Response(500)

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            response.status = int(status.split(" ", 1)[0])
            response.headers = [(name.lower(), value) for name, value in headers if name.lower() not in SERVER_HEADERS]

        parts = self.app(environ, start_response)
        try:
            response.body = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close:
                close()
        return response


SERVER_HEADERS = ("server", "date", "content-length", "connection")  # set by the server


def environ_of(request: Request, data: bytes) -> dict[str, Any]:
    """Convert the request to a WSGI environ (PEP 3333)."""
    host = request.header("host")
    name, _, port = host.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_NAME": name or host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for header, value in request.headers.items():
        if header in ("content-type", "content-length"):
            key = header.upper().replace("-", "_")
        elif "_" in header:  # would be mistaken for the header with a dash
            continue
        else:
            key = f"HTTP_{header.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    return environ
