"""Serve Feast's feature server, Feast's web interface and the service's API: three ports, one process, one store."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from pantheon.features.here import unavailable
from pantheon.features.login import App, Guarded
from pantheon.features.registry_page import ShownOnly
from pantheon.features.service import Service
from pantheon.features.web import HEALTH, Api, Handle

USER = "feast"
CONNECTIONS = 512  # at one port; more get 503
IDLE_SECONDS = 30  # that a connection is kept open without a request
STOP_SECONDS = 8  # for requests in progress
REFRESH_SECONDS = 0  # of Feast's server: the registry refreshes itself (feature_store.yaml)


@dataclass(frozen=True)
class Ports:
    """Where to listen.

    Attributes:
        features: Feast's feature server; ``ui``: its web interface; ``api``: the service's API.
        password: the file with the password of Feast's own apps; ``key``: with the key of the API.
    """

    host: str
    features: int
    ui: int
    api: int
    password: Path
    key: Path


class Listener(uvicorn.Server):  # type: ignore[misc, unused-ignore] # uvicorn may be there or not
    """A server whose signals the process handles."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(ports: Ports) -> dict[int, socket.socket]:
    """Take the three ports; nobody can connect before ``serve``.

    Raises:
        OSError: one is in use.
    """
    made = {}
    for port in (ports.features, ports.ui, ports.api):
        family = socket.AF_INET6 if ":" in ports.host else socket.AF_INET
        # asyncio sends at once (TCP_NODELAY) only if the protocol is named: else each answer takes 40 ms longer.
        made[port] = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made[port].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. asyncio sets it only for sockets that it made: answers would wait 40 ms for an ACK.
        made[port].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            made[port].bind((ports.host, port))
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {ports.host}:{port}: {error.strerror}") from None
    return made


def apps(service: Service, ports: Ports, routes: Mapping[tuple[str, str], Any]) -> dict[int, App]:
    """Return what answers at each port."""
    from feast import feature_server, ui_server

    own: dict[tuple[str, str], Handle] = {key: partial(handler, service) for key, handler in routes.items()}
    store = service.store
    return {
        ports.features: Guarded(feature_server.get_app(store, REFRESH_SECONDS), ports.password, USER),
        ports.ui: Guarded(ShownOnly(ui_server.get_app(store, store.project)), ports.password, USER),
        ports.api: Guarded(Api(own, service.here.incoming, unavailable), ports.key, open_paths=(HEALTH,)),
    }


def serve(made: Mapping[int, App], sockets: Mapping[int, socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(_serve(made, sockets))


async def _serve(made: Mapping[int, App], sockets: Mapping[int, socket.socket]) -> None:
    servers = [Listener(settings(app)) for app in made.values()]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for port, server in zip(made, servers, strict=True):
            group.create_task(server.serve(sockets=[sockets[port]]))


def settings(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
