"""Ports of this machine: which process uses a port, and the offset at which all ports of a deployment are free."""

import socket
from collections.abc import Callable, Collection, Iterable, Mapping

from pantheon.errors import PantheonError

STEP = 100  # between offsets: no two ports of a deployment differ by a multiple of it
HIGHEST = 65535


def is_free(port: int) -> bool:
    """Return whether a server can listen on 127.0.0.1:``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # otherwise a connection in TIME_WAIT would count as in use
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> int | None:
    """Return the pid that listens on ``port``; None if it is free or the process belongs to another user."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return int(connection.pid)
    return None


def who_holds(port: int) -> str | None:
    """Describe the process that listens on ``port``: ``pid 4711 (python -m http.server)``; None if it is free."""
    if is_free(port):
        return None
    import psutil

    pid = holder(port)
    if pid is None:
        return "a process of another user"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = ""
    return f"pid {pid} ({command[:160] or 'unknown command line'})"


def free_offset(ports: Iterable[int], first: int = 0) -> int:
    """Return the smallest ``PORT_OFFSET`` (0, 100, 200 …) at which all ``ports`` are free; -1 if there is none.

    Args:
        first: the smallest one to try.
    """
    wanted = list(ports)
    for offset in range(first, HIGHEST - max(wanted, default=0) + 1, STEP):
        if all(is_free(port + offset) for port in wanted):
            return offset
    return -1


def check_free(
    wanted: Mapping[int, str],
    own: Collection[int],
    offset: int,
    holder_of: Callable[[int], str | None] = who_holds,
) -> None:
    """Raise an error if another process uses one of the ports.

    Args:
        wanted: port → the service that will listen on it.
        own: ports that the deployment's running services use.
        offset: the ``PORT_OFFSET`` that ``wanted`` includes.
        holder_of: describes the process that uses a port; None if it is free or belongs to the deployment.

    Raises:
        PantheonError: names the port, the process, and a ``PORT_OFFSET`` at which all ports are free.
    """
    for port, service in wanted.items():
        if port in own or not (holder := holder_of(port)):
            continue
        other = free_offset(number - offset for number in wanted)
        free = f"use PORT_OFFSET={other}, at which all ports are free" if other >= 0 else "set another port"
        raise PantheonError(f"Port {port} of {service} is in use by {holder}.", f"Stop it, or {free}.", 1)
