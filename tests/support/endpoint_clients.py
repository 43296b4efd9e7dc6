"""Clients that ask the endpoint as fast as one thread can, over kept-alive connections, and what they were answered."""

import json
import socket
import threading
import time
from collections import Counter
from typing import NamedTuple

from tests.support.button import Client

BODY = b'{"payload": [{"robot-age": 20}]}'


class Answered(NamedTuple):
    """An answer that has arrived completely; ``customer`` is what the request's header ``x-customer`` had."""

    id: str
    version: str
    customer: str
    logged: bool


class Connection:
    """A kept-alive connection with at most one request under way.

    Args:
        customer: of the header ``x-customer``; empty: none.
    """

    def __init__(self, client: Client, customer: str = "") -> None:
        self.customer = customer
        self._client = client
        self.predict = self._request("/predict", BODY)
        self.socket = socket.create_connection(("127.0.0.1", client.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _request(self, path: str, body: bytes) -> bytes:
        headers = {"Host": f"127.0.0.1:{self._client.port}", "Content-Type": "application/json"}
        headers |= {"Authorization": self._client.headers["Authorization"], "Content-Length": str(len(body))}
        if self.customer:
            headers["x-customer"] = self.customer
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def say(self, id: str) -> bytes:
        """Return a request that calls the answer ``id`` wrong."""
        return self._request("/feedback", json.dumps({"id": id, "correct": False}).encode())

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of an answer; raises OSError if it does not arrive."""
        data = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionResetError("the server is gone")
            data += piece
            head, end, body = data.partition(b"\r\n\r\n")
            if not end:
                continue
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            if len(body) >= int(headers["content-length"]):
                return int(first.split(" ", 2)[1]), headers, body


class Clients:
    """Asks until ``stop``, or until the server is gone. A thread: all connections have a request under way at once.

    Args:
        customers: one connection for each; without a name, it sends no ``x-customer``.
        feedback: the first connection also says of its answers that they are wrong.
        pause: seconds between two turns of all connections.

    Attributes:
        answers: those of status 200.
        said: the ids of answers about which the endpoint has accepted feedback.
        refused: other answers, by status.
        seconds: from the first request to the last answer.
        slowest: seconds from the requests of one turn to all their answers.
        gone: whether the server closed a connection.
    """

    def __init__(
        self, client: Client, customers: tuple[str, ...] = ("",) * 8, feedback: bool = False, pause: float = 0.0
    ) -> None:
        self.answers: list[Answered] = []
        self.said: list[str] = []
        self.refused: Counter[int] = Counter()
        self.seconds = self.slowest = 0.0
        self.gone = self._stopped = False
        self._feedback, self._pause = feedback, pause
        self._connections = [Connection(client, customer) for customer in customers]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Receive what is under way, and end."""
        self._stopped = True
        self.join()

    def join(self) -> None:
        """Wait until the server is gone, or ``stop`` was called."""
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while not self._stopped:
                turn = time.monotonic()
                for connection in self._connections:
                    connection.socket.sendall(connection.predict)
                for connection in self._connections:
                    self._count(connection)
                self.seconds = time.monotonic() - began
                self.slowest = max(self.slowest, time.monotonic() - turn)
                if self._feedback and self.answers:
                    self._say(self._connections[0])
                time.sleep(self._pause)
        except OSError:
            self.gone = True
        finally:
            for connection in self._connections:
                connection.socket.close()

    def _count(self, connection: Connection) -> None:
        status, headers, body = connection.receive()
        if status != 200:
            self.refused[status] += 1
            return
        assert body.startswith(b'{"prediction":['), body
        logged = "x-log" not in headers
        answer = Answered(headers["x-request-id"], headers["x-model-version"], connection.customer, logged)
        self.answers.append(answer)

    def _say(self, connection: Connection) -> None:
        about = self.answers[-1].id
        connection.socket.sendall(connection.say(about))
        status, _, _ = connection.receive()
        assert status == 200
        self.said.append(about)
