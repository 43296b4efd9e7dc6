"""Run the service that stores the prediction log: ``python -m pantheon.predictions``.

Environment: ``STATE_DIR`` the deployment's state folder, ``SPOOL_DIR`` the folder to which the endpoint writes,
``PREDICTIONS_KEEP`` for how long predictions are kept, such as ``90d``; empty: for ever. ``PREDICTIONS_HOST`` and
``PREDICTIONS_PORT``: where it answers the page's questions about the log (without a port, it answers none), and
``PREDICTIONS_KEY`` the file with the page's key; ``PREDICTIONS_SECONDS`` for an answer, 10 if it is empty.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

# For Polars' allocator, before it is imported: freed memory goes back to the system, instead of growing with the load.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1")

from pantheon import durations
from pantheon.errors import PantheonError
from pantheon.predictions.asking import SECONDS
from pantheon.predictions.service import Service
from pantheon.predictions.web import App
from pantheon.web.granian import leave
from pantheon.web.server import Server

M_ARENA_MAX = -8  # malloc.h
STOP_SECONDS = 8.0  # for what is closed by then to be stored


def say(line: str) -> None:
    print(f"predictions: {line}", file=sys.stderr, flush=True)


def kept(text: str) -> timedelta | None:
    """Return for how long predictions are kept; None: for ever.

    Raises:
        PantheonError: it is not a duration of a day or more.
    """
    if not text:
        return None
    seconds = durations.seconds(text)
    if seconds < durations.UNITS["d"]:
        raise PantheonError(f"PREDICTIONS_KEEP={text} is less than a day.", "Whole days are removed, such as 90d.")
    return timedelta(seconds=seconds)


def main() -> int:
    with contextlib.suppress(AttributeError, OSError):  # other C libraries do not have it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # by default glibc creates a heap per thread
    state, spool = os.environ.get("STATE_DIR", ""), os.environ.get("SPOOL_DIR", "")
    if not state or not Path(state).is_dir() or not spool:
        say("STATE_DIR must name a deployment's state folder, and SPOOL_DIR the endpoint's spool. `up` sets both.")
        return 2
    try:
        service = Service(Path(state), Path(spool), kept(os.environ.get("PREDICTIONS_KEEP", "")), say)
    except PantheonError as error:
        say(str(error))
        return error.status
    gc.set_threshold(100_000, 50, 100)  # rows are many objects without cycles; looking for them halves the speed
    if port := os.environ.get("PREDICTIONS_PORT", ""):
        return serve(service, Path(state), os.environ.get("PREDICTIONS_HOST") or "127.0.0.1", int(port))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop.set())
    say(f"storing what is in {spool}.")
    service.run()
    return 0


def serve(service: Service, state: Path, host: str, port: int) -> int:
    """Store the log in a thread, and answer questions about it until a signal comes; return the exit status."""
    key = Path(os.environ.get("PREDICTIONS_KEY") or state / "secrets" / "predictions_key")
    seconds = float(os.environ.get("PREDICTIONS_SECONDS") or SECONDS)
    web = Server(host, port, App(state, key, seconds))
    try:
        web.prepare()
    except OSError as error:
        say(f"cannot listen on {host}:{port}: {error}.")
        return 1
    storing = threading.Thread(target=service.run, name="storing", daemon=True)
    storing.start()

    def end() -> None:
        service.stop.set()
        storing.join(STOP_SECONDS)

    web.run(lambda: say(f"storing what is in {service.spool}; listening on http://{host}:{port}."), end)
    return 0


if __name__ == "__main__":
    leave(main())
