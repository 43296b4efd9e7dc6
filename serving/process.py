"""How our HTTP services run as processes: their address from the environment, and errors at the start as one line."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pantheon.web.server import Application, Server


@dataclass(frozen=True)
class Settings:
    """What every HTTP service reads from its environment; ``NAME`` is the service's, in capitals.

    Attributes:
        state: ``STATE_DIR``, the deployment's state folder.
        host: ``NAME_HOST``, the address to bind.
        port: ``NAME_PORT``.
        hosts: ``NAME_HOSTS``, additional allowed host names, comma-separated.
    """

    name: str
    state: Path
    host: str
    port: int
    hosts: tuple[str, ...]


def settings(name: str, port: int) -> Settings | None:
    """Read the settings of the service ``name``; None, after a message, if there is no state folder.

    Args:
        port: the default.
    """
    prefix = name.upper()
    state = os.environ.get("STATE_DIR", "")
    if not state or not Path(state).is_dir():
        print(
            f"{name}: STATE_DIR does not name a deployment's state folder. Start with `make tier-persephone up`.",
            file=sys.stderr,
        )
        return None
    hosts = tuple(h.strip().lower() for h in os.environ.get(f"{prefix}_HOSTS", "").split(",") if h.strip())
    host, number = os.environ.get(f"{prefix}_HOST", "127.0.0.1"), int(os.environ.get(f"{prefix}_PORT") or port)
    return Settings(name, Path(state), host, number, hosts)


def run(given: Settings, app: Application, start: Callable[[], None], stop: Callable[[], None]) -> int:
    """Serve ``app`` until a signal stops it.

    Args:
        start: called once the port is bound, before the first request.
        stop: called after the last request.

    Returns:
        The exit status.
    """
    server = Server(given.host, given.port, app)
    try:
        server.prepare()
    except OSError as error:
        print(f"{given.name}: cannot listen on {given.host}:{given.port}: {error}.", file=sys.stderr)
        return 1
    start()
    address = f"http://{given.host}:{given.port}"
    server.run(lambda: print(f"{given.name}: listening on {address}", file=sys.stderr, flush=True))
    stop()
    return 0
