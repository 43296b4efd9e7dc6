"""Ports of this machine: who holds one, and by how much to move a deployment so that none is taken."""

import socket
from collections.abc import Iterable

STEP = 100  # between offsets tried: no two ports of a deployment differ by a multiple of it and clash with another's
HIGHEST = 65535


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # else a connection in TIME_WAIT looks like a holder
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> int | None:
    """The pid that listens on ``port``; None where nobody does or the process is another user's."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return int(connection.pid)
    return None


def who_holds(port: int) -> str | None:
    """Who listens on ``port``, such as ``pid 4711 (python -m http.server)``; None where it is free."""
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
    return f"pid {pid} ({command[:160] or 'its command line cannot be read'})"


def free_offset(ports: Iterable[int]) -> int:
    """The smallest ``PORT_OFFSET`` (0, 100, 200 …) at which every one of ``ports`` is free; -1 where there is none."""
    wanted = list(ports)
    for offset in range(0, HIGHEST - max(wanted, default=0) + 1, STEP):
        if all(is_free(port + offset) for port in wanted):
            return offset
    return -1
