"""Check a model built elsewhere and publish it: ``python -m serving.external publish …``.

Runs in the workflow's environment, as one-offs of ``pantheon.worker`` do: ``STATE_DIR`` names the state folder, events
are JSON lines on standard output. Standard input is a tar archive of the model's files.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from pantheon import store
from pantheon.errors import PantheonError
from pantheon.files import scratch
from pantheon.store.operations import UNPACKED
from pantheon.workflow import graph
from serving.external import limited
from serving.external.archive import unpack
from serving.external.publish import Prepared, publish


def report(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="serving.external", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("publish")
    one.add_argument("--files", required=True, type=int, help="how many the archive on standard input has")
    one.add_argument("--model", required=True)
    one.add_argument("--alias", default="challenger")
    one.add_argument("--by", default="")
    one.add_argument("--note", default="")
    one.add_argument("--file", default="")
    return top


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Publish the model and return ``publish``'s result."""
    state = os.environ.get("STATE_DIR")
    if not state or not Path(state).is_dir():
        raise PantheonError(
            "STATE_DIR does not name a deployment's state folder.", "Start with `make tier-persephone up`."
        )
    data = Path(state) / "data"
    try:
        data.mkdir(exist_ok=True)
        with scratch(data, UNPACKED) as folder:
            unpack(sys.stdin.buffer, folder, args.files)
            given = {"by": args.by, "note": args.note, "file": args.file}
            opened = store.open_store(Path(state))
            return publish(opened, folder, args.model, args.alias, **given, prepare=prepare)
    except OSError as error:
        raise graph.describe_os_error(error) from error


def prepare(folder: Path, bundle: Path, name: str, by: str, file: str) -> Prepared:
    """Run ``publish.prepare`` in a process with limits; errors as there, and of the limits."""
    given = [str(folder), str(bundle), name, by, file]
    return limited.run("serving.external.publish:prepare", given, bundle.parent, "check", file)


def main() -> int:
    try:
        report({"event": "published", **run(parser().parse_args())})
    except PantheonError as error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
