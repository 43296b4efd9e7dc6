"""Run Granian's worker in this process: receive requests from it, and stop it.

The same as Granian's embedded server, except that callbacks run in Granian's Python thread and not on an event loop.
``RSGIWorker`` and its arguments are not a public interface: this code is written for the locked version.
"""

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol


class Scope(Protocol):
    """Granian's request, without its body."""

    http_version: str
    method: str
    path: str
    query_string: str
    authority: str | None
    headers: Any


@dataclass(frozen=True)
class Listening:
    """The socket to listen on, and limits.

    Attributes:
        socket: bound and listening; Granian takes it over.
        connections: maximum number of open connections; more wait in the backlog.
        head_seconds: time limit for a request's head, from the end of the previous request.
        head_bytes: maximum size of a request's head.
    """

    socket: socket.socket
    backlog: int
    connections: int
    head_seconds: float
    head_bytes: int


class Directly:
    """A replacement for an event loop: runs callbacks immediately in the calling thread."""

    def call_soon_threadsafe(self, callback: Callable[..., Any], *given: Any, context: Any = None) -> None:
        callback(*given)

    call_soon = call_soon_threadsafe


def listen(
    how: Listening, arrived: Callable[[Any], None], loop: asyncio.AbstractEventLoop
) -> tuple[Callable[[], None], asyncio.Future[None]]:
    """Accept connections.

    Args:
        arrived: called for every request in Granian's thread, with an object that has its ``scope`` and ``proto``.

    Returns:
        A function that stops accepting connections, and a future that completes when the last one is closed.
    """
    # Imported here, so that modules that only need the server's types do not load it.
    from granian._granian import CallbackScheduler, RSGIWorker, SocketHolder, WorkerSignal
    from granian.http import HTTP1Settings

    class Scheduler(CallbackScheduler):
        def __init__(self, *_: Any) -> None:
            self._schedule_fn = arrived

    stopped: asyncio.Future[None] = loop.create_future()
    signalled = WorkerSignal()
    signalled.add_cb(lambda: loop.call_soon_threadsafe(stopped.set_result, None))
    directly = Directly()
    http1 = HTTP1Settings(header_read_timeout=int(how.head_seconds * 1000), max_buffer_size=how.head_bytes)
    # Detached: from here on, Granian's acceptor owns the socket and closes it when it stops.
    holder = SocketHolder(how.socket.detach(), False, how.backlog)  # type: ignore[call-arg]
    arguments: list[Any] = [
        *(1, (None, holder), None),  # the worker's number, its socket, no messages to another process
        *(1, 1, 1, 30),  # threads: of the runtime, for blocking work, for Python; seconds that idle ones are kept
        *(how.connections, "1", http1, None, False, None),  # HTTP/1 only, no WebSockets, no static files
        *(False, None, None, None, "tls1.3", None, [], False),  # no TLS
        (None, None),  # no metrics
    ]
    worker: Any = RSGIWorker(*arguments)
    worker.serve_async(Scheduler(directly, None, None, None, None), directly, signalled)
    return signalled.set, stopped


def more_files(wanted: int) -> None:
    """Raise this process's limit of open files to ``wanted``, or to its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def leave(status: int) -> NoReturn:
    """End the process that ran a server. Not with ``sys.exit``: Granian's threads may still be ending, and one that
    needs the interpreter during its shutdown aborts the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
