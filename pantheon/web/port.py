"""Keep a service's port open in a container of its own, while containers of the service come and go.

``python -S -m pantheon.web.port keep PORT SOCKET`` listens on the port, accepts no connection, and gives the listening
socket to whoever connects to the Unix socket. ``… take SOCKET COMMAND …`` gets it and runs the command with it
(``pantheon.web.sockets``). The kernel delivers connections to the command itself, so none passes through the keeper.
If the keeper ends, its port is lost: the command gets SIGTERM, so that it is started again and takes the next one.
Standard library only, so that it takes 4 MB.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

from pantheon.web import sockets

WAIT_SECONDS = 20.0  # for the port's keeper to start
MOST_TAKERS = 2  # the service that is replaced, and its replacement


def keep(port: int, path: Path) -> None:
    """Give the socket of ``port`` to everyone who connects to the Unix socket ``path``, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with sockets.bound("0.0.0.0", port) as kept, socket.socket(socket.AF_UNIX) as giving:  # noqa: S104 - in a container
        path.unlink(missing_ok=True)
        giving.bind(str(path))
        giving.listen()
        takers: list[socket.socket] = []  # stay connected, so that they notice when this process ends
        try:
            while True:
                takers = [*takers[1 - MOST_TAKERS :], giving.accept()[0]]
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    socket.send_fds(takers[-1], [b"\0"], [kept.fileno()])
        finally:
            path.unlink(missing_ok=True)


def take(path: Path) -> int:
    """Return a descriptor of the socket that the keeper at ``path`` has; processes that this one starts inherit it.

    Raises:
        OSError: no keeper answers within ``WAIT_SECONDS``.
    """
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            asking = socket.socket(socket.AF_UNIX)
            asking.connect(str(path))
            descriptor = socket.recv_fds(asking, 1, 1)[1][0]
        except (OSError, IndexError):
            asking.close()
            if time.monotonic() > end:
                raise OSError(f"no process keeps the service's port open at {path}") from None
            time.sleep(0.05)
            continue
        os.set_inheritable(descriptor, True)
        end_with(asking.detach())
        return descriptor


def end_with(connection: int) -> None:
    """Have the kernel send SIGTERM to this process, and to the command that replaces it, when the other side ends."""
    os.set_inheritable(connection, True)
    fcntl.fcntl(connection, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)


def main(what: str, *given: str) -> int:
    try:
        if what == "keep":
            keep(int(given[0]), Path(given[1]))
        os.environ[sockets.SOCKET] = str(take(Path(given[0])))
        os.execvp(given[1], given[1:])  # noqa: S606 - the given command
    except OSError as error:
        print(f"port: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
