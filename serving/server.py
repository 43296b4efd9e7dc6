"""Our edges of the HTTP server (cheroot): bounded bodies, a deadline for every request, errors as JSON, a polite close.

What cheroot alone would do: read a refused body of 50 MB whole into memory, hold a thread for as long as a client
sends a byte every ten seconds, and answer a malformed chunk with 500.
"""

import _pyio  # type: ignore[import-not-found]  # cheroot reads sockets through it
import contextlib
import io
import json
import socket
import time
from typing import Any

from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server as CherootServer

REQUEST_SECONDS = 10.0  # for a request to arrive whole, and again for its answer to be taken
IDLE_SECONDS = 30  # a kept-alive connection without a request
LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 1024 * 1024
HEADER_BYTES = 64 * 1024
THREADS = 16


class DeadlineSocket(socket.SocketIO):
    """A socket's raw file whose reads and writes together end by ``deadline`` (monotonic seconds)."""

    deadline = float("inf")
    _sock: socket.socket

    def _wait_at_most(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)

    def readinto(self, buffer: Any) -> int | None:
        self._wait_at_most()
        return super().readinto(buffer)

    def write(self, data: Any) -> int | None:
        self._wait_at_most()
        return super().write(data)


class Reader(StreamReader):
    def __init__(self, sock: socket.socket, size: int) -> None:
        _pyio.BufferedReader.__init__(self, DeadlineSocket(sock, "rb"), size)
        self.bytes_read = 0


class Writer(StreamWriter):
    def __init__(self, sock: socket.socket, size: int) -> None:
        _pyio.BufferedWriter.__init__(self, DeadlineSocket(sock, "wb"), size)
        self.bytes_written = 0


class Body(io.RawIOBase):
    """A request's body as ``wsgi.input``: of known length, or chunked (``length`` None); never reads beyond its end.

    ``read`` raises TimeoutError past the deadline and ValueError on malformed chunks. ``unread`` says whether bytes of
    the body may still be on the wire.
    """

    def __init__(self, source: Any, length: int | None) -> None:
        self._source = source
        self._chunked = length is None
        self._left = length or 0
        self.unread = self._chunked or self._left > 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        wanted = size if size is not None and size >= 0 else 1 << 62
        while wanted > 0 and self.unread:
            if self._chunked and self._left == 0 and not self._next_chunk():
                break
            data = self._source.read(min(wanted, self._left, 1 << 20))
            if not data:
                self._left, self.unread = 0, False  # the client left
                if self._chunked:
                    raise ValueError("the chunks end early")
                break
            parts.append(data)
            wanted -= len(data)
            self._left -= len(data)
            if self._left == 0:
                self._end_of_piece()
        return b"".join(parts)

    def _end_of_piece(self) -> None:
        if not self._chunked:
            self.unread = False
        elif self._source.read(2) != b"\r\n":
            raise ValueError("a chunk does not end with CRLF")

    def _next_chunk(self) -> bool:
        line = self._source.readline(256)
        size = line.split(b";", 1)[0].strip()
        if not line.endswith(b"\r\n") or not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
            raise ValueError("a chunk's size is malformed")
        self._left = int(size, 16)
        if self._left:
            return True
        for _ in range(32):  # trailers, which nobody asked for
            line = self._source.readline(1024)
            if line in (b"\r\n", b""):
                self.unread = False
                return False
        raise ValueError("too many trailers")


class Request(HTTPRequest):
    """One request: its errors are JSON, its body is ``Body``; what it leaves unread closes the connection."""

    rfile: Any

    def read_request_line(self) -> bool:
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError as error:  # of urllib, on an address such as //[
            self.simple_response("400 Bad Request", f"The address is malformed: {error}.")
            return False

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        length = self.inheaders.get(b"Content-Length", b"0")
        if not length.isdigit() or len(length) > 18:
            self.simple_response("400 Bad Request", "Content-Length is not a number.")
            return False
        return True

    def respond(self) -> None:
        length = None if self.chunked_read else int(self.inheaders.get(b"Content-Length", 0))
        self.rfile = Body(self.conn.rfile, length)
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def send_headers(self) -> None:
        if getattr(self.rfile, "unread", False):
            self.close_connection = self.conn.linger_first = True
        self.conn.extend_deadline()
        super().send_headers()

    def simple_response(self, status: Any, msg: str = "") -> None:
        """cheroot's own answers to what never reaches an app, such as a malformed request line."""
        text = msg or str(status).partition(" ")[2] + "."
        data = b"" if str(status).startswith("1") else json.dumps({"error": self.error(text)}).encode() + b"\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.close_connection = self.conn.linger_first = True
        self.conn.extend_deadline()
        with contextlib.suppress(OSError):  # the client has gone: nobody to tell
            self.conn.wfile.write(f"{head}Connection: close\r\n\r\n".encode("latin-1") + data)

    def error(self, text: str) -> Any:
        """What stands under ``error`` in such an answer."""
        return {"message": text, "row": None, "field": None, "expected": None, "got": None}


class Connection(HTTPConnection):
    """A connection with a deadline a request, closed only after a client still sending has had our answer."""

    RequestHandlerClass = Request
    linger_first = False
    spoke = False

    def __init__(self, server: Any, sock: socket.socket, makefile: Any = None) -> None:
        super().__init__(server, sock, _file)

    def extend_deadline(self) -> None:
        self.rfile.raw.deadline = self.wfile.raw.deadline = time.monotonic() + REQUEST_SECONDS

    def communicate(self) -> Any:
        self.extend_deadline()
        return super().communicate()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        if self.linger_first:
            self._linger()
        super().close()

    def _linger(self) -> None:
        """Say that we are done, then let the client finish: closing on unread data resets the connection, and the
        client's system may throw our answer away. Bounded in time and bytes."""
        end = time.monotonic() + LINGER_SECONDS
        read = 0
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while read < LINGER_BYTES and (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                data = self.socket.recv(65536)
                if not data:
                    return
                read += len(data)
        except OSError:
            return  # timed out or reset: it had its chance


def _file(sock: socket.socket, mode: str, size: int) -> Any:
    return Reader(sock, size) if "r" in mode else Writer(sock, size)


class Server(CherootServer):
    """The WSGI server on ``address``."""

    ConnectionClass = Connection
    max_request_header_size = HEADER_BYTES
    keep_alive_conn_limit = 1000

    def __init__(self, address: tuple[str, int], app: Any) -> None:
        super().__init__(
            address,
            app,
            numthreads=THREADS,
            server_name="pantheon",
            request_queue_size=128,
            timeout=IDLE_SECONDS,
            shutdown_timeout=8,
        )

    def process_conn(self, conn: Any) -> None:
        """A new connection waits for its first byte in the selector: browsers open some ahead of need, and each would
        hold a thread until it times out."""
        if conn.spoke:
            super().process_conn(conn)
        else:
            conn.spoke = True
            self._connections.put(conn)  # type: ignore[attr-defined]
