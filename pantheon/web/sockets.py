"""Listening sockets: bound by the server itself, or inherited from the process that keeps them open across restarts.

A kept socket is never closed: while no server accepts, new connections wait in its backlog. So a server can be replaced
or killed without refusing a connection. Standard library only.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

SOCKET = "PANTHEON_SOCKET"  # the descriptor of the service's socket
CHECKS = "PANTHEON_CHECKS"  # of a private socket for the first health check; see ``pantheon.web.server``
BACKLOG = 1024
LEAVE_SECONDS = 5.0  # for clients of kept-alive connections to send one more request
QUIET_SECONDS = 1.0  # without a request, after which connections count as idle
POLL_SECONDS = 0.02  # between counts of the open connections


def bound(host: str, port: int) -> socket.socket:
    """Return a new socket that listens on ``host:port``, an address or a name of this machine.

    Raises:
        OSError: the port is in use, or the address is not one of this machine's.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, proto)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def inherited(variable: str) -> socket.socket | None:
    """Return the socket whose descriptor the environment variable names; None if it is not set.

    The variable is removed, and processes that this one starts do not inherit the socket.

    Raises:
        OSError: it is not the descriptor of a socket.
    """
    number = os.environ.pop(variable, "")
    if not number:
        return None
    if not number.isdecimal():
        raise OSError(f"{variable} must be the number of a descriptor, not {number!r}")
    os.set_inheritable(int(number), False)
    return socket.socket(fileno=int(number))


def stop_accepting(descriptor: int) -> None:
    """Have this process accept no more connections from a listening socket that other processes share.

    The descriptor then refers to another socket, to which nobody connects: ``shutdown`` would end it for all processes.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind("")  # a free abstract name
        silent.listen(1)
        silent.setblocking(False)
        os.dup2(silent.fileno(), descriptor, inheritable=False)


def clients(port: int) -> int:
    """Return the number of this process's open connections from clients of ``port``."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, or not connected
            if entry.readlink().name.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as opened:
                    opened.getpeername()
                    name = opened.getsockname()
                    count += isinstance(name, tuple) and name[1] == port
    return count


async def left(port: int, heard: Callable[[], float]) -> None:
    """Wait until the clients of ``port`` have closed their connections, or are quiet.

    Args:
        heard: returns the time of the last request, monotonic seconds.
    """
    import asyncio  # not for the supervisor, which keeps sockets

    begin = time.monotonic()
    while clients(port):
        now = time.monotonic()
        if now > begin + LEAVE_SECONDS or now > max(begin, heard()) + QUIET_SECONDS:
            return
        await asyncio.sleep(POLL_SECONDS)
