"""Predict the rows of a file: ``python -m serving.batch --model NAME …``, a task in the workflow's environment.

Standard input is the file. Standard output gets the predictions as a file, and directly after it the file of refused
rows; the event ``predicted`` tells how large each is. See ``pantheon.file_task``.
"""

import argparse
import dataclasses
from pathlib import Path

from pantheon import file_task
from pantheon.errors import PantheonError
from pantheon.events import report


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
    file_task.receive(path, args.size, args.called)
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
    sizes = [file_task.send(each, data) for each in (output, refused)]
    report({"event": "predicted", **dataclasses.asdict(done), "bytes": sizes[0], "refused_bytes": sizes[1]})


if __name__ == "__main__":
    args = parser().parse_args()
    file_task.main("predicting", args.called, lambda state, folder, data: predict(args, state, folder, data))
