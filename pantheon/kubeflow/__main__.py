"""Run the service: ``python -m pantheon.kubeflow``.

Environment: ``STATE_DIR`` the deployment's state folder, ``KUBEFLOW_BIND`` the address to listen on, ``KUBEFLOW_PORT``,
``KUBEFLOW_KEY_FILE`` the file with its key.
"""

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.kubeflow.activity import Activity
from pantheon.kubeflow.controllers import Manager, load
from pantheon.kubeflow.objects import Store
from pantheon.kubeflow.server import App
from pantheon.kubeflow.service import Service
from pantheon.web.granian import leave
from pantheon.web.server import Server

M_ARENA_MAX = -8  # malloc.h
FOLDER = "kubeflow"  # in the state folder


def say(line: str) -> None:
    print(f"kubeflow: {line}", file=sys.stderr, flush=True)


def main() -> int:
    with suppress(AttributeError, OSError):  # other C libraries do not have it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # by default glibc creates a heap per thread
    state = Path(os.environ.get("STATE_DIR", ""))
    if not os.environ.get("STATE_DIR") or not state.is_dir():
        say("STATE_DIR does not name a deployment's state folder. Start with `make tier-kraken up`.")
        return 2
    host, port = os.environ.get("KUBEFLOW_BIND") or "127.0.0.1", int(os.environ.get("KUBEFLOW_PORT", "8003"))
    key = Path(os.environ.get("KUBEFLOW_KEY_FILE") or state / "secrets" / FOLDER / "key")
    try:
        store = Store(state / FOLDER)
        manager = Manager(store, state, load(), say)
        web = Server(host, port, App(Service(manager, Activity(state / FOLDER / "activity.jsonl")), key))
        web.prepare()
    except files.Busy:
        say(f"another service still uses {state / FOLDER}.")
        return 1
    except (PantheonError, OSError) as error:
        say(f"cannot start: {error}")
        return 1

    def ready() -> None:
        say(f"listening on http://{host}:{port}, with {len(store):,} objects")
        # Only now, in a thread: hundreds of processes that start would keep the health check waiting.
        threading.Thread(target=manager.start, name="start", daemon=True).start()

    web.run(ready, manager.stop)
    return 0


if __name__ == "__main__":
    leave(main())
