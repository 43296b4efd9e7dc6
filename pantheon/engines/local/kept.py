"""The sockets that the supervisor keeps open for services, so that no connection is refused while one is replaced."""

import socket
from collections.abc import Collection, Mapping
from contextlib import closing

from pantheon.engines.local.service import Service
from pantheon.processes import Process, spawn
from pantheon.web import sockets

LOOPBACK = "127.0.0.1"


class Kept:
    """The sockets by port."""

    def __init__(self) -> None:
        self.by_port: dict[int, socket.socket] = {}

    def of(self, service: Service) -> socket.socket:
        """Return the socket of a service with ``start_first``.

        Raises:
            OSError: its port is in use.
        """
        (port,) = service.ports
        if port not in self.by_port:
            self.by_port[port] = sockets.bound(LOOPBACK, port)
        return self.by_port[port]

    def only(self, ports: Collection[int]) -> None:
        """Close the sockets of all other ports."""
        for port in self.by_port.keys() - set(ports):
            self.by_port.pop(port).close()

    def start(
        self, service: Service, environment: Mapping[str, str], folder: str, output: int, private: bool
    ) -> tuple[Process, int]:
        """Start a service's process with its socket, if it has one.

        Args:
            output: the descriptor of its standard output and error.
            private: have it prove its health on a socket of its own before it accepts connections of clients.

        Returns:
            The process and the private socket's port, or 0.

        Raises:
            OSError: the port is in use, or the program does not exist.
        """
        command, unprivileged = service.command, service.unprivileged
        if not service.start_first:
            return spawn(command, environment, folder, output, output, unprivileged), 0
        kept = self.of(service).fileno()
        given = {**environment, sockets.SOCKET: str(kept)}
        if not private:
            return spawn(command, given, folder, output, output, unprivileged, passed=[kept]), 0
        with closing(sockets.bound(LOOPBACK, 0)) as checks:  # afterwards, only the new process has it
            given[sockets.CHECKS] = str(checks.fileno())
            process = spawn(command, given, folder, output, output, unprivileged, passed=[kept, checks.fileno()])
            return process, int(checks.getsockname()[1])
