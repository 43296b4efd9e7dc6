"""Keep the servers of JupyterHub's users: ``python -m pantheon.jupyter.servers``, the service ``hub-servers``.

A service of its own, so that servers outlive JupyterHub and its proxy, and, in containers, so that the code of users
runs where no secret of JupyterHub is. JupyterHub starts and stops servers by HTTP (``pantheon.hub.spawner``).

Environment: ``STATE_DIR``; ``HUB_SERVERS_BIND``, ``HUB_SERVERS_PORT`` the address of this service, whose host the
servers bind too; ``HUB_SERVERS_KEY_FILE`` what a request must know; ``HUB_SERVERS_DIR`` the homes of users;
``HUB_SERVER_MEMORY`` what each process of a server may take; and what JupyterLab needs.
"""

import asyncio
import contextlib
import hmac
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tornado.web

from pantheon.jupyter import kernel
from pantheon.processes import bound_to_me, descendants, memory

PASSED = "JUPYTERHUB_"  # variables of JupyterHub for a server
LARGEST = 1 << 16  # bytes of a request
STOP_SECONDS = 8.0  # from SIGTERM to SIGKILL
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass
class Running:
    """A server's process."""

    process: subprocess.Popen[bytes]
    port: int


class Servers:
    """The servers of all users, by name; they end with this process.

    Args:
        homes: the folder of users' homes.
        host: the address that servers bind.
        limit: bytes of data that each process of a server may take; 0: no limit.
    """

    def __init__(self, homes: Path, host: str, limit: int, command: tuple[str, ...]) -> None:
        self.homes, self.host, self.limit, self.command = homes, host, limit, command
        self.running: dict[str, Running] = {}

    def start(self, user: str, server: str, given: dict[str, str]) -> int:
        """Start a server unless it runs, and return its port.

        Args:
            user, server: names; ``server`` is empty for a user's default server.
            given: variables of JupyterHub; others are skipped.
        """
        key = f"{user}/{server}"
        if self.state(key) is None:
            return self.running[key].port
        home = self.homes / user
        own = home / ".jupyter" / (server or "default")
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        port = free_port(self.host)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        environment |= {name: value for name, value in given.items() if name.startswith(PASSED) or name == "MEM_LIMIT"}
        environment |= {
            "HOME": str(home),
            "USER": user,
            "LOGNAME": user,
            "JUPYTERHUB_SERVICE_URL": f"http://{self.host}:{port}{given['JUPYTERHUB_SERVICE_PREFIX']}",
            "JUPYTER_CONFIG_PATH": str(kernel.PACKAGE / "jupyter" / "config_of_users"),
            "JUPYTER_CONFIG_DIR": str(own / "config"),
            "JUPYTER_DATA_DIR": str(own / "data"),
            "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
            "IPYTHONDIR": str(home / ".ipython"),
            "MPLCONFIGDIR": str(home / ".matplotlib"),
        }
        process = subprocess.Popen(
            self.command,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=self.limited(),
        )
        self.running[key] = Running(process, port)
        return port

    def limited(self) -> Callable[[], None]:
        """Return what a new process does first: it ends with this one, and its memory is limited."""
        bound, limit = bound_to_me(signal.SIGTERM), self.limit

        def prepare() -> None:
            bound()
            if limit:
                resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

        return prepare

    def state(self, key: str) -> int | None:
        """Return how a server ended; None while it runs; 0 if this process never had it."""
        running = self.running.get(key)
        if running is None:
            return 0
        code = running.process.poll()
        if code is not None:
            self.clear(running)
            del self.running[key]
        return code

    def memory(self, key: str) -> int:
        """Return the bytes of memory that a server takes, with its kernels and terminals; 0 if it does not run."""
        running = self.running.get(key)
        return memory(descendants([running.process.pid])) if running else 0

    async def stop(self, key: str, now: bool) -> None:
        """Stop a server and what it started; ``now``: without waiting for it."""
        running = self.running.get(key)
        if running is None:
            return
        running.process.send_signal(signal.SIGKILL if now else signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(running.process.wait), STOP_SECONDS)
        self.clear(running)
        await asyncio.to_thread(running.process.wait)
        self.running.pop(key, None)

    def clear(self, running: Running) -> None:
        """Kill what is left of a server's process group; kernels and terminals notice by themselves."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)


class Handler(tornado.web.RequestHandler):
    """``/servers/USER/SERVER``: PUT starts, GET tells, DELETE stops. ``-`` is the default server."""

    def initialize(self, servers: Servers, key: Path) -> None:
        self.servers, self.key = servers, key

    def prepare(self) -> None:
        known = b"Bearer " + self.key.read_bytes().strip()
        if not hmac.compare_digest(self.request.headers.get("Authorization", "").encode(), known):
            raise tornado.web.HTTPError(401)

    def names(self, user: str, server: str) -> tuple[str, str]:
        if user in (".", "..") or server in (".", ".."):
            raise tornado.web.HTTPError(400)
        return user, "" if server == "-" else server

    async def put(self, user: str, server: str) -> None:
        try:
            given = json.loads(self.request.body)
            environment = {str(name): str(value) for name, value in given["environment"].items()}
            environment["JUPYTERHUB_SERVICE_PREFIX"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise tornado.web.HTTPError(400) from None
        self.write({"port": self.servers.start(*self.names(user, server), environment)})

    async def get(self, user: str, server: str) -> None:
        key = "/".join(self.names(user, server))
        code = self.servers.state(key)
        self.write({"running": code is None, "status": code, "memory": self.servers.memory(key)})

    async def delete(self, user: str, server: str) -> None:
        await self.servers.stop("/".join(self.names(user, server)), self.get_query_argument("now", "") == "1")
        self.write({})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"error": {"message": f"status {status_code}"}})

    def log_exception(self, *error: Any) -> None:
        if not isinstance(error[1], tornado.web.HTTPError):
            super().log_exception(*error)


class Health(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"status": "ok"})


def free_port(host: str) -> int:
    """Return a port that is free now."""
    with socket.socket() as each:
        each.bind((host, 0))
        port: int = each.getsockname()[1]
        return port


def size(text: str) -> int:
    """Return the bytes of ``4g``, ``512m``; 0 for nothing.

    Raises:
        ValueError: it is not a size.
    """
    text = text.strip().lower().removesuffix("b")
    unit = UNITS.get(text[-1:], 1)
    return int(float(text[:-1] if text[-1:] in UNITS else text) * unit) if text else 0


async def serve() -> None:
    """Serve until SIGTERM or SIGINT, then stop all servers."""
    host, port = os.environ["HUB_SERVERS_BIND"], int(os.environ["HUB_SERVERS_PORT"])
    command = (sys.executable, "-m", "pantheon.jupyter.user")
    servers = Servers(Path(os.environ["HUB_SERVERS_DIR"]), host, size(os.environ.get("HUB_SERVER_MEMORY", "")), command)
    given = {"servers": servers, "key": Path(os.environ["HUB_SERVERS_KEY_FILE"])}
    routes = [(r"/healthz", Health), (r"/servers/([^/]{1,200})/([^/]{1,64})", Handler, given)]
    app = tornado.web.Application(routes, log_function=lambda _: None)  # type: ignore[arg-type]
    listening = app.listen(port, host, max_body_size=LARGEST)
    print(f"hub-servers: listening on {host}:{port}", file=sys.stderr, flush=True)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await end.wait()
    listening.stop()
    await asyncio.gather(*(servers.stop(key, now=False) for key in list(servers.running)))


def main() -> int:
    try:
        asyncio.run(serve())
    except (OSError, ValueError) as error:
        print(f"hub-servers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
