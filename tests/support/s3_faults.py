"""A server between us and S3 that loses, delays or refuses what a test wants it to."""

import contextlib
import http.client
import http.server
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Fault = Callable[[http.server.BaseHTTPRequestHandler], bool]


@dataclass
class Between:
    """A server between us and S3 that does what a ``fault`` wants, once each, else passes requests on."""

    endpoint: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    address: str = ""


def handler_for(between: Between) -> type[http.server.BaseHTTPRequestHandler]:
    target = urlsplit(between.endpoint)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            between.seen.append(f"{self.command} {self.path}")
            if between.faults and between.faults[0](self):
                del between.faults[0]
                self.close_connection = True
                return
            answer, body = self.ask()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def ask(self) -> tuple[http.client.HTTPResponse, bytes]:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            onward = http.client.HTTPConnection(target.hostname or "", target.port or 80, timeout=20)
            with contextlib.closing(onward):
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                return answer, answer.read()

        do_GET = do_PUT = do_DELETE = do_POST = relay

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def answering(status: int, code: str, message: str = "said so") -> Fault:
    def fault(handler: http.server.BaseHTTPRequestHandler) -> bool:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    return fault


def losing(method: str, part: str, *, done: bool) -> Fault:
    """The connection breaks on the way back (``done``) or on the way there."""

    def fault(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if handler.command != method or part not in handler.path:
            return False
        if done:
            handler.ask()  # type: ignore[attr-defined]
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True

    return fault
