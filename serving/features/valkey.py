"""Read hashes from Valkey, within a time limit: connections with hiredis, the parser of Redis' own clients.

``redis`` itself takes 15 MB and 300 ms to import, and connects and waits as it likes. Here, a request without time to
connect does not: it gets ``NoTime``. Once Valkey does not answer, requests are refused at once, and a thread tries
to connect until it does.
"""

import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.0  # for the answer to one request, however much time it has
AGAIN_SECONDS, MOST_AGAIN_SECONDS = 0.1, 1.0  # the first and the longest wait
IDLE = 8  # connections that are kept open
PIECE = 64 * 1024  # bytes that are received at a time
Command = Sequence[bytes]


class Away(Exception):
    """Valkey does not answer; the message is why."""


class NoTime(Exception):
    """There was no time to connect, or to wait for the answer."""


class Connection:
    """One connection; not thread-safe.

    Raises:
        Away: Valkey cannot be reached, or refuses the password.
    """

    def __init__(self, host: str, port: int, password: str) -> None:
        import hiredis  # here, because most deployments have no features

        self._pack: Any = hiredis.pack_command  # its own types allow no more than one word
        self._reader, self._refused = hiredis.Reader(), hiredis.HiredisError
        try:
            self._socket = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            raise Away(error.strerror or str(error)) from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hello = [(b"AUTH", password.encode()), (b"PING",)] if password else [(b"PING",)]
            self.ask(hello, monotonic() + CONNECT_SECONDS)
        except (Away, NoTime, OSError) as error:
            self.close()
            why = f"no answer within {CONNECT_SECONDS:g} s" if isinstance(error, NoTime) else str(error)
            raise Away(why) from None

    def ask(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Return the replies to some commands, which are sent together.

        Raises:
            NoTime: they are not complete at the deadline; the connection must be closed.
            OSError: the connection was lost.
            Away: Valkey refuses a command, such as while it loads its data.
        """
        self._wait(deadline)
        try:
            self._socket.sendall(b"".join(map(self._pack, map(tuple, commands))))
        except TimeoutError:
            raise NoTime from None
        replies: list[Any] = []
        while len(replies) < len(commands):
            try:
                reply = self._reader.gets()
            except self._refused as error:
                raise Away(str(error)) from None
            if isinstance(reply, self._refused):
                raise Away(str(reply))
            if reply is False:  # not complete; no command here has this answer
                self._receive(deadline)
            else:
                replies.append(reply)
        return replies

    def _receive(self, deadline: float) -> None:
        self._wait(deadline)
        try:
            data = self._socket.recv(PIECE)
        except TimeoutError:
            raise NoTime from None
        if not data:
            raise ConnectionResetError("it closed the connection")
        self._reader.feed(data)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _wait(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise NoTime
        self._socket.settimeout(left)


class Valkey:
    """One Valkey. Thread-safe.

    Args:
        password_file: with its password; read for every connection.

    Attributes:
        problem: why it does not answer at present; empty if it does, or was not asked yet.
    """

    def __init__(self, host: str, port: int, password_file: Path | None = None) -> None:
        self.host, self.port, self.problem = host, port, ""
        self.password_file = password_file
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()

    def ask(self, commands: Sequence[Command], deadline: float, connect: bool = True) -> list[Any]:
        """Return the replies to some commands that only read.

        Args:
            deadline: on the clock of ``time.monotonic``.
            connect: whether there is time to connect, and to find out that Valkey hangs.

        Raises:
            Away: Valkey does not answer within ``READ_SECONDS``, or did not lately.
            NoTime: it has not answered at the deadline, or ``connect`` is false and no connection is open.
        """
        if self.problem:
            raise Away(self.problem)
        end, again = min(deadline, monotonic() + READ_SECONDS), True
        while True:
            connection = self._open(connect)
            try:
                replies = connection.ask(commands, end)
            except NoTime:
                connection.close()
                if end == deadline:
                    raise
                raise self._away(f"no answer within {READ_SECONDS:g} s") from None
            except OSError as error:  # it was restarted since: no open connection is good any more
                connection.close()
                self._close_idle()
                if not again:
                    raise self._away(error.strerror or str(error)) from None
                again = False
            except Away as away:
                connection.close()
                raise self._away(str(away)) from None
            else:
                self._keep(connection)
                return replies

    def close(self) -> None:
        self._close_idle()

    def _open(self, connect: bool) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        if not connect:
            raise NoTime
        try:
            return self._connected()
        except Away as away:
            raise self._away(str(away)) from None

    def _connected(self) -> Connection:
        password = ""
        if self.password_file:
            try:
                password = self.password_file.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                pass  # Valkey says whether it wants one
            except OSError as error:
                raise Away(f"its password cannot be read: {error.strerror}") from None
        return Connection(self.host, self.port, password)

    def _keep(self, connection: Connection) -> None:
        if len(self._idle) < IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _away(self, why: str) -> Away:
        """Remember that Valkey does not answer, and have a thread wait until it does."""
        with self._lock:
            if not self.problem:
                self.problem = why
                self._say(f"does not answer: {why}")
                self._close_idle()
                threading.Thread(target=self._mend, name="valkey", daemon=True).start()
        return Away(why)

    def _mend(self) -> None:
        wait = AGAIN_SECONDS
        while True:
            time.sleep(wait)
            wait = min(wait * 1.5, MOST_AGAIN_SECONDS)
            try:
                connection = self._connected()
            except Away as away:
                self.problem = str(away)
                continue
            self._keep(connection)
            self._say("answers again")
            self.problem = ""
            return

    def _say(self, what: str) -> None:
        print(f"endpoint: Valkey at {self.host}:{self.port} {what}", file=sys.stderr, flush=True)
