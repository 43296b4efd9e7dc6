"""Run the dataflow service: ``python -m pantheon.dataflow``.

Environment: ``STATE_DIR`` the deployment's state folder, ``DATAFLOW_HOST`` the address to bind, ``DATAFLOW_PORT``,
``SECRETS_DIR`` the folder of ``dataflow_token``, ``DATAFLOW_LIMIT`` the number of concurrent runs.
"""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

from pantheon.dataflow.app import App
from pantheon.dataflow.runs import Runs
from pantheon.web.granian import leave
from pantheon.web.server import Server

M_ARENA_MAX = -8  # malloc.h
LIMIT = 2


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    with contextlib.suppress(AttributeError, OSError):  # other C libraries do not have it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # by default glibc creates a heap per thread
    state = os.environ.get("STATE_DIR", "")
    if not state or not Path(state).is_dir():
        say("dataflow: STATE_DIR does not name a deployment's state folder. Start with `make tier-prometheus up`.")
        return 2
    token = Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "dataflow_token"
    if not token.is_file():
        say(f"dataflow: the token {token} does not exist. Create it with `make tier-prometheus up`.")
        return 2
    host, port = os.environ.get("DATAFLOW_HOST", "127.0.0.1"), int(os.environ.get("DATAFLOW_PORT", "8070"))
    runs = Runs(Path(state), int(os.environ.get("DATAFLOW_LIMIT", str(LIMIT))), say)
    web = Server(host, port, App(Path(state), runs, token))
    try:
        web.prepare()
    except OSError as error:
        say(f"dataflow: cannot listen on {host}:{port}: {error}.")
        return 1
    runs.start()
    web.run(lambda: say(f"dataflow: listening on http://{host}:{port}"), runs.stop)
    return 0


if __name__ == "__main__":
    leave(main())
