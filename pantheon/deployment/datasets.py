"""``DATA=``: a dataset's name, or a user's file, which is streamed into the deployment and described there.

This process opens only the user's file. Tasks read and write the deployment's ``data/``.
"""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment import inside
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.workflow.datasets import NAME, bundled, check_target

TEXT, OTHER = (".csv", ".tsv", ".txt", ".data", ".dat"), (".json", ".jsonl", ".ndjson", ".feather", ".arrow")
BOOKS, PACKED = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), (".gz", ".zip", ".bz2", ".xz", ".zst")
SUFFIXES = (*TEXT, ".parquet", ".pq", *BOOKS, *OTHER, *PACKED)
STEP = "reading the columns"


@dataclass(frozen=True)
class Asked:
    """What the user asked for; empty where nothing was given.

    Attributes:
        data: a dataset's name, or a file.
        target: the column to predict.
        header: "none" if no line of the file names the columns: they are called column_1, column_2 …
        infer: "again" to infer the columns of a known dataset again.
        dataset: the dataset that the file belongs to.
        ignore: columns to leave out from now on, with commas between them.
    """

    data: str = ""
    target: str = ""
    header: str = ""
    infer: str = ""
    dataset: str = ""
    ignore: str = ""


def check(deployment: Deployment, engine: Engine, asked: Asked) -> None:
    """Check that the settings can be used, without copying anything.

    Raises:
        PantheonError: a setting is not valid or needs another one; the file is missing, empty, a folder or of an
            unknown type; or the dataset has another target.
    """
    data = asked.data
    if asked.header not in ("", "none"):
        cure = "Use HEADER=none, or omit it: the header is looked for."
        raise PantheonError(f"HEADER={asked.header} is not valid.", cure)
    if asked.infer not in ("", "again"):
        raise PantheonError(f"INFER={asked.infer} is not valid.", "Use INFER=again, or omit it.")
    for key in ("target", "header", "dataset"):
        if getattr(asked, key) and (not data or (key != "target" and not _is_file(data))):
            setting = f"{key.upper()}={getattr(asked, key)}"
            more = "" if asked.target else " TARGET=column"
            raise PantheonError(f"{setting} needs DATA=.", f"Add the file: DATA=your.csv{more} {setting}")
    if data and not _is_known(deployment, engine, data, asked.target):
        check_file(Path(data).expanduser(), data)


def take(deployment: Deployment, engine: Engine, asked: Asked) -> str:
    """Return the name of the dataset to train on: the file's, else the named one, else the deployment's.

    Raises:
        PantheonError: as ``check``; or the file cannot be read, or does not have the target or an ignored column.
    """
    check(deployment, engine, asked)
    if asked.data and _is_file(asked.data):
        name = _send(deployment, engine, asked, Path(asked.data).expanduser())
    else:
        name = asked.data or deployment.settings.dataset
        if asked.infer:
            _send(deployment, engine, replace(asked, data=name, dataset=name), None)
    if asked.ignore:
        columns = inside.ask(deployment, engine, "dataset.leave_out", name=name, columns=asked.ignore)
        spec = terminal.relative(deployment.state / "data" / f"{name}.toml")
        left = ", ".join(map(repr, columns))
        terminal.say(terminal.plain(f"{left} left out from now on; to use it again, give it a role in {spec}"))
    return name


def _is_file(data: str) -> bool:
    """Return whether ``DATA=`` must be a file: dataset names do not end in a file suffix."""
    return not NAME.fullmatch(data) or Path(data).suffix.lower() in SUFFIXES


def _is_known(deployment: Deployment, engine: Engine, data: str, target: str) -> bool:
    """Return whether ``data`` names a dataset; query the deployment only if this process cannot decide it.

    Raises:
        PantheonError: the dataset's target is not ``target``.
    """
    if _is_file(data):
        return False
    shipped = bundled().get(data)
    if not target and (shipped or (deployment.exists and data == deployment.settings.dataset)):
        return True
    if deployment.exists:  # the spec in the deployment may have been edited
        engine.prepare(["workflow"])
        return bool(inside.ask(deployment, engine, "dataset", name=data, target=target))
    if shipped:
        check_target(shipped, target)
    return shipped is not None


def _send(deployment: Deployment, engine: Engine, asked: Asked, file: Path | None) -> str:
    """Send a file to the deployment, which finds or makes its dataset; return the dataset's name.

    Without a file, have the columns of a dataset inferred again.
    """
    arguments = ["dataset", f"--called={asked.data}", "--state", str(deployment.state)]
    arguments += [f"--{key}={getattr(asked, key)}" for key in ("target", "header", "infer", "dataset")]
    if file:
        now = file.stat()
        arguments += [f"--file={file.name}", "--path", str(file.resolve())]
        arguments += ["--size", str(now.st_size), "--modified", str(now.st_mtime_ns)]
    made: dict[str, Any] = {}
    with terminal.steps() as steps:
        steps.start(STEP)
        try:
            Task(engine)(arguments, made.update, input=file)
        except BaseException:
            steps.end(STEP, "failed")
            raise
        if made["columns"]:
            steps.end(STEP, note=f"{len(made['columns'])} columns")
        else:
            steps.drop(STEP)
    for note in made["notes"]:
        terminal.warn(note)
    if made["columns"]:
        _show(deployment, made)
    return str(made["name"])


def _show(deployment: Deployment, made: dict[str, Any]) -> None:
    """Print the inferred columns, and where to correct them."""
    shown = terminal.table("column", "type", "role", "why")
    for column in made["columns"]:
        shown.add_row(column["name"], column["type"], column["role"], column["why"])
    terminal.err.print(shown)
    spec = terminal.relative(deployment.state / "data" / f"{made['name']}.toml")
    terminal.say(terminal.plain(f"{made['task']} of {made['target']!r}. To change this, edit {spec}"))


def check_file(file: Path, data: str) -> None:
    """Raise PantheonError unless the user's file can be read; ``data`` is the path as the user typed it."""
    if not data.isprintable():
        raise PantheonError(f"DATA={data!r} has a line break or another control character.", "Rename the file.")
    if not file.exists():
        siblings = [p.name for p in file.parent.glob("*")] if file.parent.is_dir() else []
        near = difflib.get_close_matches(file.name, siblings, n=1) or difflib.get_close_matches(data, bundled(), n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise PantheonError(f"{data} does not exist.", f"{hint}DATA= takes a file or one of: {', '.join(bundled())}.")
    check_readable(file, data, "Use one CSV, Parquet or Excel file: DATA=folder/file.csv")


def check_readable(file: Path, data: str, cure: str) -> None:
    """Raise PantheonError unless ``file``, as the user typed it ``data``, is a table's file that can be read."""
    if not file.exists():
        raise PantheonError(f"{data} does not exist.", cure)
    if file.is_dir():
        raise PantheonError(f"{data} is a folder, not a file.", cure)
    if not file.is_file():
        raise PantheonError(f"{data} is a pipe, a socket or a device.", "Use a CSV, Parquet or Excel file.")
    if not os.access(file, os.R_OK):
        raise PantheonError(f"{data} cannot be read by this user.", f"Check its permissions: ls -l {data}")
    if file.stat().st_size == 0:
        raise PantheonError(f"{data} is empty.", "Use a file with a header line and rows.")
    if file.suffix and file.suffix.lower() not in SUFFIXES:
        raise PantheonError(
            f"{data}: the file type {file.suffix!r} is not supported.",
            f"Supported: {' '.join(SUFFIXES)}",
        )
