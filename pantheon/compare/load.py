"""Send requests to a server as fast as it answers, from one thread, and measure its latency.

Connections are plain sockets that are kept alive, and requests are bytes made once: a client library would use more of
the processor than the server. The load runs on the same machine, so the figures compare tiers with each other.
"""

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pantheon.errors import PantheonError

TIMEOUT = 10.0  # seconds without any answer
HEAD_END = b"\r\n\r\n"


@dataclass
class Load:
    """The answers of one load: their latencies in seconds, and how many were not of status 200."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile_ms(self, q: float) -> float:
        """Return a quantile of the latencies in milliseconds."""
        return quantile(self.latencies, q) * 1000


def quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that at least the share ``q`` of ``values`` does not exceed; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def request(address: str, path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON."""
    host = urlsplit(address).netloc
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{kind}\r\n\r\n".encode() + body


def send(address: str, sent: bytes, clients: int, seconds: float) -> Load:
    """Keep one request under way on each of ``clients`` connections for ``seconds``.

    Raises:
        PantheonError: the server closed a connection or does not answer.
    """
    parts = urlsplit(address)
    result = Load(seconds)
    selector = selectors.DefaultSelector()
    connections = []
    try:
        for _ in range(clients):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            connections.append(connection)
        begin = time.perf_counter()
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
            connection.send(sent)
        while time.perf_counter() - begin < seconds:
            ready = selector.select(TIMEOUT)
            if not ready:
                raise PantheonError(f"{address} did not answer within {TIMEOUT:g} s under load.", "", 1)
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                connection = key.fileobj
                received = connection.recv(65536)
                if not received:
                    raise PantheonError(f"{address} closed a connection under load.", "See its log: `logs`", 1)
                key.data[1] += received
                if (status := complete(key.data[1])) is None:
                    continue
                now = time.perf_counter()
                result.latencies.append(now - key.data[0])
                result.wrong += status != 200
                key.data[:] = [now, b""]
                connection.send(sent)
        result.seconds = time.perf_counter() - begin
    except OSError as error:
        raise PantheonError(f"{address} does not answer: {error.strerror or error}.", "", 1) from None
    finally:
        selector.close()
        for connection in connections:
            connection.close()
    return result


def complete(data: bytes) -> int | None:
    """Return the status of an HTTP answer with a Content-Length; None while it is not complete."""
    head, end, body = data.partition(HEAD_END)
    if not end:
        return None
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    return int(lines[0].split()[1]) if len(body) >= length else None
