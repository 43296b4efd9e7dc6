"""``python -m serving.button``: the page and POST /predict in one process.

Environment: ``STATE_DIR`` the deployment's state folder, ``BUTTON_HOST`` the address to bind, ``BUTTON_PORT``,
``BUTTON_HOSTS`` further host names that people may type, comma-separated.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: its pool of threads is never used here

from pantheon.store import open_store  # noqa: E402
from serving.api import Api  # noqa: E402
from serving.champion import Champion  # noqa: E402
from serving.guard import App, Guard  # noqa: E402
from serving.page import Page, application  # noqa: E402
from serving.questions import Questions  # noqa: E402
from serving.reader import Reader  # noqa: E402
from serving.server import Server  # noqa: E402
from serving.state import State  # noqa: E402

M_ARENA_MAX = -8  # malloc.h


def few_arenas() -> None:
    """Two heaps for all threads: glibc gives each its own, and what one frees another cannot use."""
    with contextlib.suppress(AttributeError, OSError):  # another C library does without
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class Button:
    """The service: ``app`` is the whole WSGI application.

    Args:
        state: the deployment's state folder.
        port: the port that people type.
        hosts: further allowed hosts.
    """

    def __init__(self, state: Path, port: int, hosts: Iterable[str] = ()) -> None:
        folder = State(state)
        store = open_store(state, patience=0)  # nobody waits for an S3 that is away: it is looked at again soon
        self.champion = Champion(folder, store)
        questions = Questions(folder, Reader(store), self.champion)
        self.api = Api(self.champion, questions)
        self.page = application(Page(folder, store, self.champion, questions))
        self.app: App = Guard(self.route, port, hosts)

    def route(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        app = self.api if environ["PATH_INFO"] in self.api.routes else self.page
        answer: Iterable[bytes] = app(environ, start_response)
        return answer


def main() -> int:
    few_arenas()
    state, host, port = (
        os.environ.get("STATE_DIR", ""),
        os.environ.get("BUTTON_HOST", "127.0.0.1"),
        os.environ.get("BUTTON_PORT", "8080"),
    )
    if not state or not Path(state).is_dir():
        print(
            "button: STATE_DIR does not name a deployment's state folder. Start with `make tier-persephone up`.",
            file=sys.stderr,
        )
        return 2
    hosts = [h.strip().lower() for h in os.environ.get("BUTTON_HOSTS", "").split(",") if h.strip()]
    button = Button(Path(state), int(port), hosts)
    server = Server((host, int(port)), button.app)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server.prepare()
    except OSError as error:
        print(f"button: {host}:{port} cannot be listened on: {error}.", file=sys.stderr)
        return 1
    button.champion.look()
    button.champion.start()
    serving = threading.Thread(target=server.serve, name="accept", daemon=True)
    serving.start()
    print(f"button: listening on http://{host}:{port}", file=sys.stderr, flush=True)
    while serving.is_alive() and not stop.wait(1.0):
        pass
    button.champion.stop()
    server.stop()  # finishes the requests that have begun
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
