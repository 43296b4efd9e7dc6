"""Connections that do nothing, and clients that send their body byte by byte, beside the load that is measured."""

import socket
import threading
from contextlib import suppress

from pantheon.web.granian import more_files

IDLE, SLOW = 1000, 50
TICK_SECONDS = 0.5  # between two bytes of a slow sender


class Beside:
    """Keeps the connections open, and opens those again that the server closed, from ``with`` to its end.

    Attributes:
        closed: how many the server closed.
    """

    def __init__(self, port: int, authorization: str) -> None:
        self.closed = 0
        self._port = port
        self._head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Authorization: {authorization}\r\nContent-Length: 100000\r\n\r\n"
        ).encode()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._idle: list[socket.socket] = []
        self._slow: list[socket.socket] = []

    def __enter__(self) -> "Beside":
        more_files(IDLE + SLOW + 500)
        self._idle = [self._open() for _ in range(IDLE)]
        self._slow = [self._open(self._head) for _ in range(SLOW)]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for each in (*self._idle, *self._slow):
            each.close()

    def _open(self, first: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        if first:
            made.sendall(first)
        made.setblocking(False)
        return made

    def _run(self) -> None:
        while not self._end.wait(TICK_SECONDS):
            for index, each in enumerate(self._idle):
                if self._is_closed(each):
                    self._idle[index] = self._open()
            for index, each in enumerate(self._slow):
                with suppress(OSError):  # it is seen to be closed
                    each.send(b" ")
                if self._is_closed(each):
                    self._slow[index] = self._open(self._head)

    def _is_closed(self, each: socket.socket) -> bool:
        try:
            while each.recv(4096):  # the answer of a request that was too slow
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.closed += 1
        each.close()
        return True
