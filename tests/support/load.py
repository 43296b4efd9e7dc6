"""Clients that send a server one request after another, and what they lost."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CLIENTS = 12


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        sent: number of requests.
        lost: one text per request without an answer of status 200.
        slowest: seconds of the slowest request.
    """

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    slowest: float = 0.0
    ended: bool = False


def client(load: Load, port: int, path: str, body: bytes | None, number: int) -> None:
    """One client: every third one opens a connection for each request, and every third one pauses between requests."""
    connection: http.client.HTTPConnection | None = None
    while not load.ended:
        begin = time.monotonic()
        load.sent += 1
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            given = {"content-type": "application/json"} if body else {}
            connection.request("POST" if body else "GET", path, body, given)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                load.lost.append(f"status {answer.status}")
            if number % 3 == 0 or answer.getheader("connection") == "close":
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            load.lost.append(repr(error))
            connection = None
        load.slowest = max(load.slowest, time.monotonic() - begin)
        if number % 3 == 1:
            time.sleep(0.01 * number)
    if connection:
        connection.close()


@contextmanager
def under_load(port: int, path: str, body: bytes | None = None) -> Iterator[Load]:
    """Have clients send requests to ``port`` meanwhile."""
    load = Load()
    threads = [threading.Thread(target=client, args=(load, port, path, body, number)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.ended = True
        for thread in threads:
            thread.join()
