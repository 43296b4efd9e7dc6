"""``python -m pantheon.dataflow``: the service.

Environment: ``STATE_DIR`` the deployment's state folder, ``DATAFLOW_HOST`` the address to bind, ``DATAFLOW_PORT``,
``SECRETS_DIR`` the folder of ``dataflow_token``, ``DATAFLOW_LIMIT`` how many runs at once.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

from pantheon.dataflow.app import App
from pantheon.dataflow.runs import Runs
from serving import server

M_ARENA_MAX = -8  # malloc.h
LIMIT = 2


class Request(server.Request):
    """What never reaches the application, such as a malformed request line, is answered in the same form."""

    def error(self, text: str) -> str:
        return text


class Connection(server.Connection):
    RequestHandlerClass = Request


class Server(server.Server):
    ConnectionClass = Connection


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    with contextlib.suppress(AttributeError, OSError):  # another C library does without
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # glibc gives each thread a heap of its own else
    state = os.environ.get("STATE_DIR", "")
    if not state or not Path(state).is_dir():
        say("dataflow: STATE_DIR does not name a deployment's state folder. Start with `make tier-prometheus up`.")
        return 2
    token = Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "dataflow_token"
    if not token.is_file():
        say(f"dataflow: there is no token {token}. `make tier-prometheus up` makes it.")
        return 2
    host, port = os.environ.get("DATAFLOW_HOST", "127.0.0.1"), int(os.environ.get("DATAFLOW_PORT", "8070"))
    runs = Runs(Path(state), int(os.environ.get("DATAFLOW_LIMIT", str(LIMIT))), say)
    web = Server((host, port), App(Path(state), runs, token))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        web.prepare()
    except OSError as error:
        say(f"dataflow: {host}:{port} cannot be listened on: {error}.")
        return 1
    runs.start()
    serving = threading.Thread(target=web.serve, name="accept", daemon=True)
    serving.start()
    say(f"dataflow: listening on http://{host}:{port}")
    while serving.is_alive() and not stop.wait(1.0):
        pass
    runs.stop()
    web.stop()
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
