"""Make the run of an order, in the workflow's environment: ``python -m pantheon.dashboard.taking`` with ``Asked`` as
JSON on standard input. It reports ``{"event": "run"}`` or ``{"event": "error"}``, as tasks of commands do.

The data is copied to ``STATE/data/orders``, where nobody replaces it before the run has read it, and the run's spec
names that copy. The deployment has a dataset of the order's name then, too.
"""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from pantheon import events
from pantheon.errors import PantheonError, describe
from pantheon.files import atomic, write_json, write_once
from pantheon.workflow import datasets, take
from pantheon.workflow.data.draft import remove_draft
from pantheon.workflow.data.origin import Given
from pantheon.workflow.data.spec_file import read_spec, with_source
from pantheon.workflow.run import Ordered, Params, Run

FOLDER = "orders"  # in ``STATE/data``


class Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An order whose sources are there.

    Attributes:
        run: the ID of the run to make.
        name: of the dataset and of its model.
        file, spec: the data, and its spec if the data repository has one.
        target: the column to predict, for a spec that is inferred.
        extensions: a folder of the model repository; there need not be one.
    """

    run: str
    name: str
    tier: str
    file: str
    spec: str
    target: str
    extensions: str
    params: dict[str, int | float | str]
    order: Ordered


def make(state: Path, asked: Asked) -> Run:
    """Make the run of an order, with its data; return the run that is there if it was made before.

    Raises:
        PantheonError: the data or its spec cannot be used.
    """
    folder = state / "runs" / asked.run
    if folder.exists():
        run = Run(folder)
        if run.order != asked.order:
            raise PantheonError(f"the run {asked.run} is not one of this order.", "Order again.")
        return run
    file = Path(asked.file)
    kept = f"{FOLDER}/{asked.order['id']}{file.suffix.lower()}"
    (state / "data" / FOLDER).mkdir(parents=True, exist_ok=True)
    with atomic(state / "data" / kept) as part:
        shutil.copyfile(file, part)
    text = given_spec(state, asked, kept) if asked.spec else own_spec(state, asked, kept)

    def fill(part: Path) -> None:
        (part / "extensions").mkdir()
        for each in sorted(Path(asked.extensions).glob("*.py")):
            if each.is_file() and not each.is_symlink():
                shutil.copyfile(each, part / "extensions" / each.name)
        write_json(part / "order.json", asked.order)

    params, by = Params.read(dict(asked.params)), asked.order["by"]
    return Run.ensure(state, asked.run, text, asked.name, params, asked.tier, "graph", by, fill)


def given_spec(state: Path, asked: Asked, kept: str) -> str:
    """Return the spec of the data repository, for the order's name and its copy of the data."""
    import tomlkit

    spec = Path(asked.spec)
    try:
        mine = read_spec(spec)
    except PantheonError as error:
        raise PantheonError(error.cause.replace(str(spec), spec.name), error.cure, error.status) from None
    document = tomlkit.parse(spec.read_text(encoding="utf-8-sig"))
    document["name"] = asked.name
    text = with_source(tomlkit.dumps(document), replace(mine.source, kind="file", name="", path=kept))
    own = state / "data" / f"{asked.name}.toml"
    if not own.exists():
        write_once(own, text.encode())
    return text


def own_spec(state: Path, asked: Asked, kept: str) -> str:
    """Return the spec of the deployment's dataset of the order's name, inferred if it is new, for the order's data."""
    known = datasets.find_spec(state, asked.name)
    if known is None and not asked.target:
        cause = f"data.target is missing: the deployment has no dataset {asked.name}."
        raise PantheonError(cause, "Name the column to predict, or a spec in the data repository.")
    if known and asked.target and asked.target != (column := datasets.target_of(known)):
        cause = f"data.target: the dataset {asked.name} predicts {column!r}, not {asked.target!r}."
        raise PantheonError(cause, "Leave it out, or order under another name.")
    file = Path(asked.file)
    path = f"{asked.order['data_repository']}/{asked.order['data_path']}"
    given = Given(file.name, path, asked.order["data_path"], asked.target, dataset=asked.name)
    with file.open("rb") as content:
        found = os.fstat(content.fileno())
        try:
            take.take(state, given, content, found.st_size, found.st_mtime_ns)
        except PantheonError as error:
            if known is None:
                remove_draft(state, asked.name)  # for who reads a file by a command
            hint = error.cure.partition(" Give TARGET=")[0].partition("Give TARGET=")[0]  # as commands name it
            cure = f"{hint} Correct data.target, or add a spec to the data repository.".strip()
            raise PantheonError(error.cause, cure if "TARGET=" in error.cure else error.cure, error.status) from None
    own = state / "data" / f"{asked.name}.toml"
    return with_source(own.read_text(encoding="utf-8-sig"), replace(read_spec(own).source, path=kept))


def main() -> int:
    events.reserve()
    events.report({"event": "begin"})
    try:
        run = make(Path(os.environ["STATE_DIR"]), msgspec.json.decode(sys.stdin.buffer.read(), type=Asked))
    except PantheonError as error:
        events.report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    except OSError as error:
        events.report({"event": "error", "cause": describe(error), "cure": "Free disk space.", "status": 1})
        return 1
    events.report({"event": "run", "run": run.id})
    events.report({"event": "end"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
