"""A task that gets a file of the user on standard input, and sends files back on standard output, one after the other.

It works in a folder of the state folder that is removed whatever happens. Events are lines of standard error
(``pantheon.events``); the caller is ``pantheon.deployment.sent_files``.
"""

import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pantheon import events
from pantheon.errors import PantheonError, describe
from pantheon.events import report
from pantheon.files import scratch
from pantheon.workflow import memory

CHUNK = 1 << 20
TRIES = 100
SIGNALS = {signal.SIGINT, signal.SIGTERM}
_interrupted = threading.Event()


def main(what: str, called: str, work: Callable[[Path, Path, int], None]) -> NoReturn:
    """Do the work, report how it ends, and end this process. Call it before polars is imported.

    Args:
        what: what it does with the file, such as ``predicting``; also names its folder.
        called: the file's path as the user typed it, for messages.
        work: gets the state folder, an empty folder, and the descriptor for the files.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # every thread from here on inherits it
    data = events.reserve_for_data()
    error: PantheonError | None = None
    try:
        from pantheon.workflow.data.parquet import writing  # imports polars, whose threads inherit the mask

        memory.apply()
        report({"event": "begin", "what": f"{what} {called}", "memory": memory.allowed()})
        home = state_folder() / "data"
        home.mkdir(exist_ok=True)
        with scratch(home, f".{what}-") as folder, writing(home):
            leave_nothing(folder.parent)
            work(home.parent, folder, data)
    except PantheonError as refused:
        error = refused
    except MemoryError:
        error = memory.exhausted(f"{what} {called}")
    except OSError as failed:
        error = describe(failed, called)
    except Exception as fault:  # noqa: BLE001 - reported in one line; the log has the traceback
        if not _interrupted.is_set():
            traceback.print_exc()
        cure = "This is a fault of Pantheon. The traceback: `logs --service workflow`"
        error = PantheonError(f"{type(fault).__name__}: {fault}.", cure, 1)
    if _interrupted.is_set():  # the error is that its files are removed
        threading.Event().wait()  # for the end of this process
    if error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
    else:
        report({"event": "end"})
    events.finish(error.status if error else 0)


def state_folder() -> Path:
    """Return the folder that ``STATE_DIR`` names; raise PantheonError if it names none."""
    state = os.environ.get("STATE_DIR", "")
    if not state or not Path(state).is_dir():
        cure = "Start with `make tier-persephone up`."
        raise PantheonError("STATE_DIR does not name a deployment's state folder.", cure)
    return Path(state)


def leave_nothing(folder: Path) -> None:
    """End this process on a signal, and remove ``folder`` first.

    Signals are waited for and never handled: Polars hooks itself into the handler of SIGINT, and may block for ever.
    """

    def end() -> NoReturn:
        number = signal.sigwait(SIGNALS)
        _interrupted.set()
        for _ in range(TRIES):  # the other thread may still create files
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
        os._exit(128 + number)

    threading.Thread(target=end, name="signals", daemon=True).start()


def receive(path: Path, size: int, called: str) -> None:
    """Copy standard input to ``path``; raise PantheonError if it has another size."""
    with path.open("xb") as file:
        left = size + 1  # a file that grows without end is not read without end
        while left and (block := sys.stdin.buffer.read(min(CHUNK, left))):
            left -= file.write(block)
    if left != 1:
        raise PantheonError(f"{called} changed while it was read.", "Try again when no program writes to it.", 1)


def send(path: Path, data: int) -> int:
    """Write a file to a descriptor, and return its size; 0 if there is none."""
    if not path.exists():
        return 0
    try:
        with path.open("rb") as file, os.fdopen(os.dup(data), "wb") as to:
            shutil.copyfileobj(file, to, CHUNK)
    except OSError as error:
        raise describe(error, "the output") from None
    return path.stat().st_size
