"""Predict the rows of a file: ``python -m serving.batch --model NAME …``, a task in the workflow's environment.

Standard input is the file. Standard output gets the predictions as a file, and directly after it the file of refused
rows; events on standard error tell how large each is (``pantheon.events``). ``STATE_DIR`` names the state folder.
"""

import argparse
import dataclasses
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

from pantheon import events
from pantheon.errors import PantheonError, describe
from pantheon.events import report
from pantheon.files import scratch
from pantheon.workflow import memory

SCRATCH = ".predicting-"
CHUNK = 1 << 20
TRIES = 100
SIGNALS = {signal.SIGINT, signal.SIGTERM}
interrupted = threading.Event()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="serving.batch", description=__doc__)
    top.add_argument("--model", required=True)
    top.add_argument("--version", default="champion", help="a number or an alias")
    top.add_argument("--file", required=True, help="its name")
    top.add_argument("--called", required=True, help="its path as the user typed it, for messages")
    top.add_argument("--size", required=True, type=int, help="its size in bytes")
    top.add_argument("--header", default="", choices=["", "none"])
    top.add_argument("--form", required=True, choices=["csv", "tsv", "parquet", "xlsx"])
    top.add_argument("--probabilities", action="store_true")
    return top


def predict(args: argparse.Namespace, state: Path, folder: Path, data: int) -> None:
    """Predict the file, in ``folder``, and send the two files to the descriptor ``data``."""
    from pantheon.store import open_store
    from pantheon.store.records import is_version
    from serving.batch.predicting import Job
    from serving.batch.table import read_table
    from serving.model.predictor import BrokenBundle, Predictor

    store = open_store(state)
    version = args.version if is_version(args.version) else store.resolve(args.model, args.version).version
    store.describe(args.model, version)
    path = folder / Path(args.file).name
    receive(path, args.size, args.called)
    try:
        predictor = Predictor(store.get(args.model, version), args.model, version)
    except BrokenBundle as error:
        raise PantheonError(f"{error}.", "Name another version: --version", 1) from None
    report({"event": "model", "model": args.model, "version": version})
    try:
        table = read_table(path, predictor.signature.fields, args.header, folder)
        report({"event": "rows", "done": 0, "of": table.rows})

        def progress(done: int) -> None:
            report({"event": "rows", "done": done, "of": table.rows})

        output, refused = folder / "output", folder / "refused"
        done = Job(predictor, table, args.probabilities, args.form, output, refused, progress).run()
    except PantheonError as error:  # users do not know the copy
        raise PantheonError(error.cause.replace(str(path), args.called), error.cure, error.status) from None
    sizes = [send(each, data) for each in (output, refused)]
    report({"event": "predicted", **dataclasses.asdict(done), "bytes": sizes[0], "refused_bytes": sizes[1]})


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


def run(args: argparse.Namespace, data: int) -> None:
    state = os.environ.get("STATE_DIR", "")
    if not state or not Path(state).is_dir():
        cure = "Start with `make tier-persephone up`."
        raise PantheonError("STATE_DIR does not name a deployment's state folder.", cure)
    from pantheon.workflow.data.parquet import writing

    home = Path(state) / "data"
    home.mkdir(exist_ok=True)
    with scratch(home, SCRATCH) as folder, writing(home):
        leave_nothing(folder.parent)
        predict(args, Path(state), folder, data)


def leave_nothing(folder: Path) -> None:
    """End this process on a signal, and remove ``folder`` first.

    Signals are waited for and never handled: Polars hooks itself into the handler of SIGINT, and may block for ever.
    """

    def end() -> NoReturn:
        number = signal.sigwait(SIGNALS)
        interrupted.set()
        for _ in range(TRIES):  # the other thread may still create files
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
        os._exit(128 + number)

    threading.Thread(target=end, name="signals", daemon=True).start()


def main() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # every thread from here on inherits it
    data = events.reserve_for_data()
    args = parser().parse_args()
    error: PantheonError | None = None
    try:
        memory.apply()
        report({"event": "begin", "what": f"predicting {args.called}", "memory": memory.allowed()})
        run(args, data)
    except PantheonError as refused:
        error = refused
    except MemoryError:
        error = memory.exhausted(f"predicting {args.called}")
    except OSError as failed:
        error = describe(failed, args.called)
    except Exception as fault:  # noqa: BLE001 - reported in one line; the log has the traceback
        if not interrupted.is_set():
            traceback.print_exc()
        cure = "This is a fault of Pantheon. The traceback: `logs --service workflow`"
        error = PantheonError(f"{type(fault).__name__}: {fault}.", cure, 1)
    if interrupted.is_set():  # the error is that its files are removed
        threading.Event().wait()  # for the end of this process
    if error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
    else:
        report({"event": "end"})
    events.finish(error.status if error else 0)


if __name__ == "__main__":
    main()
