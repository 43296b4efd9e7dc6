"""Check a model built elsewhere and publish it: ``python -m serving.external publish …``.

Runs in the workflow's environment, as one-offs of ``pantheon.worker`` do: ``STATE_DIR`` names the state folder, events
are JSON lines on standard output. Standard input is a tar archive of the model's files.
"""

import argparse
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import IO, Any

from pantheon import store
from pantheon.errors import PantheonError
from pantheon.files import scratch
from pantheon.store.operations import UNPACKED
from pantheon.workflow import graph
from serving.external import limited
from serving.external.publish import publish


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
    one.add_argument("--trust", action="store_true")
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
            given = {"by": args.by, "note": args.note, "file": args.file, "trust": args.trust}
            opened = store.open_store(Path(state))
            return publish(opened, folder, args.model, args.alias, **given, prepare=limited.prepare)
    except OSError as error:
        raise graph.describe_os_error(error) from error


def unpack(stream: IO[bytes], folder: Path, files: int) -> None:
    """Unpack a tar archive with so many files into ``folder``, and nowhere else.

    Raises:
        PantheonError: it is not such an archive, or was cut off.
    """
    arrived = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                path = Path(member.name)
                if content is None or path.is_absolute() or ".." in path.parts:
                    raise tarfile.TarError(f"{member.name!r} is not a file of a model")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("xb") as file:
                    shutil.copyfileobj(content, file)
                arrived += 1
    except (tarfile.TarError, FileExistsError) as error:
        raise PantheonError(f"the model's files did not arrive: {error}.", "Try again.", 1) from None
    if arrived != files:
        raise PantheonError(f"{arrived} of the model's {files} files arrived.", "Try again.", 1)


def main() -> int:
    try:
        report({"event": "published", **run(parser().parse_args())})
    except PantheonError as error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
