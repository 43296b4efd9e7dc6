"""A small HTTP server for services that answer a request a minute: JSON, a token, bounded bodies, the standard library.

It is reachable for other services of the deployment only.
"""

import hmac
import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from pantheon.errors import PantheonError

SECONDS = 10.0  # for a request to arrive
THREADS = 16  # requests at once

Answer = tuple[str, bytes]
"""The content type and the body of an answer."""


def as_json(value: Any) -> Answer:
    return "application/json", json.dumps(value).encode() + b"\n"


class Server(ThreadingHTTPServer):
    """Answers ``GET /healthz`` to everybody, and ``POST PATH`` to who has the token.

    Args:
        token: the file with the token that callers send as ``Authorization: Bearer …``.
        routes: path → what answers its JSON body.
        body: the largest body, in bytes.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, host: str, port: int, token: Path, routes: dict[str, Callable[[Any], Answer]], body: int = 65536
    ) -> None:
        self.token, self.routes, self.most = token, routes, body
        self.room = threading.BoundedSemaphore(THREADS)
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away."""

    def run(self, began: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; requests that are being answered are not waited for."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=self.shutdown).start())
        began()
        self.serve_forever(poll_interval=0.2)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request; each one is a connection of its own."""

    server: Server
    timeout = SECONDS
    server_version, sys_version = "pantheon", ""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, as_json({"status": "ok"}))
        else:
            self.refuse(404, "Not found.")

    def do_POST(self) -> None:
        work = self.server.routes.get(self.path)
        length = self.headers.get("Content-Length", "")
        if not self.known():
            self.refuse(401, "This request requires a token: Authorization: Bearer TOKEN.")
        elif work is None:
            self.refuse(404, f"Not found. Use one of: {', '.join(self.server.routes)}.")
        elif not length.isascii() or not length.isdigit():
            self.refuse(411, "Send a body with a Content-Length.")
        elif int(length) > self.server.most:
            self.refuse(413, f"The body is larger than {self.server.most:,} bytes.")
        else:
            self.work(work, int(length))

    def work(self, work: Callable[[Any], Answer], length: int) -> None:
        try:
            answer = work(json.loads(self.rfile.read(length)))
        except PantheonError as error:
            self.answer(422, as_json({"error": error.cause, "cure": error.cure, "status": error.status}))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.refuse(400, f"The body is not valid: {error}"[:300])
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - the service keeps running; the error is logged
            traceback.print_exc(file=sys.stderr)
            self.refuse(500, "An internal error occurred; see the service's log.")
        else:
            self.answer(200, answer)

    def known(self) -> bool:
        """Check the token in constant time. The file is read for every request, because it may change."""
        try:
            token = self.server.token.read_bytes().strip()
        except OSError:
            return False
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token)
        return bool(token) and scheme.lower() == "bearer" and same

    def refuse(self, status: int, message: str) -> None:
        self.answer(status, as_json({"error": message}))

    def answer(self, status: int, answer: Answer) -> None:
        kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests may contain what users sent."""
