"""The HTTP server of Pantheon's services: Granian in this process, with additional limits and checks.

Granian (hyper) reads and writes HTTP in its own threads. The application answers on an asyncio loop, or, for small
requests, directly in the Granian thread that delivers them (``Application.quick``): waking the loop for a request and
again for its body takes longer than a prediction. Added here:

- a deadline and a limit for every request body, and a budget for the memory of all bodies together,
- the answer reaches a client that is still sending: the rest of its body is read and discarded, up to a limit,
- ambiguous requests (request smuggling) get 400,
- a port that is in use is an error: Granian would share it silently (``SO_REUSEPORT``),
- a client that does not read its answer is disconnected (``TCP_USER_TIMEOUT``),
- a stop that loses no request, within ``DRAIN_SECONDS``: requests in progress are finished, and clients of kept-alive
  connections get one more answer, with ``Connection: close``,
- a socket that another process keeps open across restarts, and a private one on which a replacement proves its health
  before it accepts connections of clients (``pantheon.web.sockets``).

Handled by hyper before the application: malformed heads (``pantheon.web.framing``). A head that does not arrive within
``HEAD_SECONDS``, and a client that closes its sending side before it has its answer, are disconnected without one.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from pantheon.web import sockets
from pantheon.web.budget import Budget
from pantheon.web.deadlines import SWEEP_SECONDS, Deadlines
from pantheon.web.framing import ambiguous
from pantheon.web.granian import Listening, Scope, listen, more_files
from pantheon.web.messages import BodyError, Quick, Response, too_large

BODY_SECONDS = 10.0  # for a body to arrive completely
HEAD_SECONDS = 30.0  # for a request's head to arrive, counted from the end of the request before
WRITE_SECONDS = 30.0  # that a client may leave its answer unread
LINGER_SECONDS = 30.0  # that a refused client may go on sending; this and the next are as in nginx
LINGER_PAUSE = 5.0  # seconds between two of its chunks
LINGER_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 8.0  # for requests in progress when the server stops
PROVED_SECONDS = 60.0  # after a success, for checks whose client gave up waiting and asks again
HEAD_BYTES = 32 * 1024
QUICK_BYTES = 1024 * 1024  # of a body that may be answered without the loop
SMALL_BYTES = 16 * 1024  # of a body that takes nothing from the budget
BODIES_BYTES = 24 * 1024 * 1024  # of all bodies that are being read or used at one time
CONNECTIONS = 2048
CHUNKS = 20_000  # of one body: reading a chunk takes much longer than its bytes
LATE, SHORT = "The request's body did not arrive in time.", "The request's body ended early."
SERVER = ("server", "pantheon")


class Request:
    """One request for the application.

    Attributes:
        method: as sent, such as ``GET``.
        path: without the query, percent-decoded; bytes that are not UTF-8 are U+FFFD.
        query: the query string as sent, without the question mark.
    """

    __slots__ = ("body_bytes", "headers", "held", "method", "path", "protocol", "query", "scope", "server", "started")

    def __init__(self, server: "Server", scope: Scope, protocol: Any) -> None:
        self.server, self.protocol, self.scope = server, protocol, scope
        self.method, self.path, self.query = scope.method, scope.path, scope.query_string
        self.headers = scope.headers  # a copy at every access
        self.held = 0
        self.started: Any = None  # the iterator of a body that was not read in one call
        # None: no length was sent. Otherwise hyper has checked that it is a number.
        length = self.headers.get("content-length")
        self.body_bytes: int | None = -1 if "transfer-encoding" in self.headers else int(length) if length else None

    def header(self, name: str) -> str:
        """Return a header's (first) value; empty if it is missing or not ASCII."""
        return self.headers.get(name) or ""

    @property
    def unread(self) -> bool:
        """Whether the body may not have been read completely."""
        return bool(self.body_bytes)

    async def body(self, limit: int) -> bytes:
        """Read the complete body.

        Args:
            limit: maximum size in bytes; a larger body is rejected, before reading if its length was sent.

        Raises:
            BodyError: too large, too slow, ended early, malformed, or no memory is available for it.
        """
        if not self.body_bytes:
            return b""
        if self.body_bytes > limit:
            raise too_large(limit, f"{self.body_bytes:,} bytes")
        deadline = time.monotonic() + BODY_SECONDS
        if self.body_bytes < 0:
            return await self._chunks(limit, deadline)
        await self.server.reserve(self, self.body_bytes, deadline)
        length = self.body_bytes
        try:
            data: bytes = await self.server.waits.until(self.protocol(), deadline)
        except TimeoutError:
            raise BodyError(408, LATE) from None
        except RuntimeError:  # from Granian: the client has closed its side
            self.body_bytes = 0
            raise BodyError(400, SHORT, f"{length} bytes", "less") from None
        self.body_bytes = 0
        return data

    async def _chunks(self, limit: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        total = 0
        self.started = aiter(self.protocol)
        while True:
            try:
                piece: bytes = await self.server.waits.until(anext(self.started), deadline)
            except TimeoutError:
                raise BodyError(408, LATE) from None
            if not piece:
                break
            total += len(piece)
            if total > limit:
                raise too_large(limit, "more")
            if len(parts) >= CHUNKS:
                raise BodyError(413, f"The request's body has more than {CHUNKS:,} chunks.")
            await self.server.reserve(self, len(piece), deadline)
            parts.append(piece)
        # Granian returns one empty chunk at the end. It also returns one for an error and for trailers, before the one
        # at the end. Trailers are rejected: they look the same as errors, and no known client sends them.
        with contextlib.suppress(StopAsyncIteration):
            await self.server.waits.until(anext(self.started), deadline)
            raise BodyError(400, "The chunks of the request's body are malformed, end early, or have trailers.")
        self.body_bytes = 0
        return b"".join(parts)

    async def throw_away(self) -> None:
        """Read and discard the rest of the request, up to a limit. Closing while the client sends would reset the
        connection, and the client's system might discard the answer."""
        deadline, left = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        with contextlib.suppress(TimeoutError, StopAsyncIteration, RuntimeError):
            pieces = self.started or aiter(self.protocol)
            while left > 0:
                piece = await self.server.waits.until(anext(pieces), min(deadline, time.monotonic() + LINGER_PAUSE))
                if not piece:
                    break
                left -= len(piece)


class Application(Protocol):
    """The interface of an application."""

    async def __call__(self, request: Request) -> Response: ...

    def quick(self, request: Request) -> Quick | None:
        """Return a function that answers this request without the loop; None: use ``__call__``.

        For bodies of at most ``QUICK_BYTES``. Both functions run in Granian's thread, one request after another, so
        they must take less than a millisecond; slower functions return a future.
        """

    def refuse(self, status: int, message: str) -> Response:
        """Return an error of the server in the application's format."""


class Server:
    """Serves ``app`` on ``host:port`` from ``prepare`` to ``stop``.

    Args:
        host: an address or name of this machine.
        app: answers requests.
    """

    def __init__(self, host: str, port: int, app: Application) -> None:
        self.host, self.port, self.app = host, port, app
        self._socket: socket.socket | None = None
        self._checks: socket.socket | None = None
        self._leaving, self._heard = False, 0.0  # whether the server stops, and when it answered since
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._proved = asyncio.Event()  # a request was answered without an error
        self.waits = Deadlines()
        self._tasks: set[asyncio.Task[None]] = set()
        self.budget = Budget(BODIES_BYTES)

    def prepare(self) -> None:
        """Bind the port, or take over its socket from the process that keeps it.

        Raises:
            OSError: it is in use, or the address is not one of this machine's.
        """
        made = sockets.inherited(sockets.SOCKET) or sockets.bound(self.host, self.port)
        self._checks = sockets.inherited(sockets.CHECKS)
        for each in filter(None, (made, self._checks)):  # accepted connections inherit these options
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
            each.setblocking(False)
        self._socket = made

    def run(
        self,
        ready: Callable[[], None] = lambda: None,
        stopping: Callable[[], None] = lambda: None,
        *,
        signals: bool = True,
    ) -> None:
        """Serve until ``stop``, or, if ``signals`` is true, until SIGTERM or SIGINT.

        Args:
            ready: called as soon as requests are answered.
            stopping: called in a thread when the server should stop, while requests are still answered.
        """
        asyncio.run(self._run(ready, stopping, signals))

    def stop(self) -> None:
        """Finish the requests in progress and end ``run``. May be called from any thread."""
        if self._loop and self._end:
            with contextlib.suppress(RuntimeError):  # it has already ended
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        for event in filter(None, (self._end, self._proved)):
            event.set()

    async def _run(self, ready: Callable[[], None], stopping: Callable[[], None], signals: bool) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop)
        more_files(CONNECTIONS + 512)
        assert self._socket is not None, "call prepare first"
        sweeping = self._loop.create_task(self.waits.sweep())
        checks = await self._prove(self._checks) if self._checks else None
        descriptor = self._socket.fileno()
        stop, stopped = self._listen(self._socket)
        ready()
        await self._end.wait()
        await asyncio.to_thread(stopping)
        end = time.monotonic() + DRAIN_SECONDS
        sockets.stop_accepting(descriptor)
        if checks:
            checks.cancel()
        # Closing an idle connection might lose a request that is on its way: each client gets one more answer first.
        self._leaving = True
        await sockets.left(self.port, lambda: self._heard)
        stop()
        await asyncio.wait({stopped, checks or stopped}, timeout=end - time.monotonic())
        sweeping.cancel()

    def _listen(self, on: socket.socket) -> tuple[Callable[[], None], asyncio.Future[None]]:
        assert self._loop
        how = Listening(on, sockets.BACKLOG, CONNECTIONS, HEAD_SECONDS, HEAD_BYTES)
        return listen(how, self.arrived, self._loop)

    async def _prove(self, private: socket.socket) -> asyncio.Task[None]:
        """Answer health checks on a private socket; return after the first success.

        Who checks may have given up waiting for that answer, so checks are answered for ``PROVED_SECONDS`` longer.

        Returns:
            A task that answers them; cancel it to end them earlier.
        """
        assert self._loop
        stop, stopped = self._listen(private)
        await self._proved.wait()

        async def answer_longer() -> None:
            try:
                await asyncio.sleep(PROVED_SECONDS)
            finally:
                stop()
                await asyncio.wait({stopped}, timeout=1.0)

        answering = self._loop.create_task(answer_longer())
        await asyncio.sleep(0)  # started, so that a cancellation ends the checks
        return answering

    def arrived(self, watcher: Any) -> None:
        """Handle a request in Granian's thread. Must not raise: exceptions would be lost there."""
        request = Request(self, watcher.scope, watcher.proto)
        try:
            size = request.body_bytes or 0
            quick = (
                self.app.quick(request)
                if 0 < size <= QUICK_BYTES and not ambiguous(request.scope, request.headers)
                else None
            )
            if quick is None or (size > SMALL_BYTES and not self._take(request, size)):
                assert self._loop
                self._loop.call_soon_threadsafe(self._begin, request)
                return
            future = watcher.proto()
            self.waits[future] = time.monotonic() + BODY_SECONDS
            future.add_done_callback(partial(self._quickly, request, quick))
        except Exception:  # noqa: BLE001 - see above
            self._send(request, self._fault())

    def _quickly(self, request: Request, quick: Quick, future: Any) -> None:
        """Answer a request for ``quick`` whose body has arrived, in Granian's thread."""
        self.waits.pop(future, None)
        try:
            data = future.result()
            request.body_bytes = 0
            response = quick(data)
            if isinstance(response, Future):
                response.add_done_callback(partial(self._later, request))
                return
        except asyncio.CancelledError:
            response = self.app.refuse(408, LATE)
        except RuntimeError:  # from Granian: the client has closed its side
            response = self.app.refuse(400, SHORT)
        except Exception:  # noqa: BLE001 - the client must get an answer
            response = self._fault()
        self._give_back(request)
        self._send(request, response)

    def _later(self, request: Request, answered: Future[Response]) -> None:
        try:
            response = answered.result()
        except Exception:  # noqa: BLE001 - the client must get an answer
            response = self._fault()
        self._give_back(request)
        self._send(request, response)

    def _begin(self, request: Request) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        """Answer one request on the loop."""
        refused = ambiguous(request.scope, request.headers)
        try:
            response = self.app.refuse(*refused) if refused else await self.app(request)
        except BodyError as error:
            response = self.app.refuse(error.status, error.message)
        except Exception:  # noqa: BLE001 - the client must get an answer
            response = self._fault()
        self._give_back(request)
        self._send(request, response, close=bool(refused))
        if response.status < 400:
            self._proved.set()
        if request.unread:
            await request.throw_away()

    def _fault(self) -> Response:
        """Handle a bug in Pantheon: return an error, and log the traceback."""
        traceback.print_exc(file=sys.stderr)
        return self.app.refuse(500, "An internal error occurred; see the service's log.")

    def _send(self, request: Request, response: Response, close: bool = False) -> None:
        headers = [*response.headers, SERVER]
        if response.status != 204:
            headers.append(("content-length", str(len(response.body))))
        if self._leaving:
            self._heard = time.monotonic()
        if close or request.unread or self._leaving:
            headers.append(("connection", "close"))
        if request.method == "HEAD" or not response.body:
            request.protocol.response_empty(response.status, headers)
        else:
            request.protocol.response_bytes(response.status, headers, response.body)

    async def reserve(self, request: Request, size: int, deadline: float) -> None:
        """Wait until ``size`` bytes fit into the budget for bodies; ``request`` holds them until it is answered.

        Raises:
            BodyError: 503, not within the deadline.
        """
        while not self._take(request, size):
            if time.monotonic() > deadline:
                raise BodyError(503, "Too many large requests at once; try again later.")
            await asyncio.sleep(SWEEP_SECONDS)

    def _take(self, request: Request, size: int) -> bool:
        taken = self.budget.take(size)
        request.held += size if taken else 0
        return taken

    def _give_back(self, request: Request) -> None:
        if request.held:
            self.budget.give_back(request.held)
            request.held = 0
