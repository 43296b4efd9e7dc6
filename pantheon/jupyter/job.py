"""Runs one notebook in a process of its own, with the kernel that it names, and writes the copy with its outputs.

``python -m pantheon.jupyter.job`` with the job as JSON on standard input. It does what jupyter-scheduler's own executor
does, without importing it, nbconvert and SQLAlchemy: that costs more than most notebooks, and each is a process.
"""

import ctypes
import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pantheon.jupyter import kernel, lean

PR_SET_PDEATHSIG = 1
DIED = "the kernel died: it was killed, or the machine ran out of memory"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        id: its key in the jobs database.
        server: the process that started this one.
        database: the jobs database, a file of SQLite's.
        source: the notebook as it was when the job was made.
        outputs: format → where to write it (``ipynb``, and whatever else nbconvert exports).
        folder: where the notebook runs.
        parameters: name → the value's Python source.
    """

    id: str
    server: int
    database: str
    source: str
    outputs: Mapping[str, str]
    folder: str
    parameters: Mapping[str, str]


def run(job: Job) -> None:
    """Run the job and record how it went, as the interface shows it."""
    die_with(job.server)
    record(job, status="IN_PROGRESS", start_time=now())
    try:
        error = execute(job)
    except Exception as problem:  # noqa: BLE001 - whatever it is, the job's record has to say it
        error = f"{type(problem).__name__}: {COLOURS.sub('', str(problem))}"
    if error:
        record(job, status="FAILED", status_message=error[:1000], end_time=now())
    else:
        record(job, status="COMPLETED", end_time=now())


def execute(job: Job) -> str:
    """Run the notebook and write the outputs, those up to a failing cell too.

    Returns:
        The error of the cell that failed, in a line; empty when none did.
    """
    lean.imports()
    import nbformat  # type: ignore[import-not-found]
    from nbclient import NotebookClient  # type: ignore[import-not-found]
    from nbclient.exceptions import CellExecutionError, DeadKernelError  # type: ignore[import-not-found]
    from traitlets.config import Config

    kernel.write(Path(os.environ["JUPYTER_DATA_DIR"]))
    notebook = nbformat.read(job.source, as_version=4)
    clean(notebook)
    parametrise(notebook, job.parameters, nbformat.v4.new_code_cell)
    client = NotebookClient(
        notebook,
        config=Config(KernelManager={"transport_encryption": kernel.ENCRYPTION}),
        timeout=None,
        kernel_name=notebook.metadata.kernelspec["name"],
        resources={"metadata": {"path": job.folder}},
        shutdown_kernel="immediate",  # all that is worth keeping is written
    )
    error = ""
    try:
        client.execute(preexec_fn=partial(die_with, os.getpid()))
    except CellExecutionError as failed:
        error = COLOURS.sub("", f"{failed.ename}: {failed.evalue}")
    except (DeadKernelError, RuntimeError) as failed:  # the latter while it starts
        error = DIED if "died" in str(failed) else f"{type(failed).__name__}: {failed}"
    finally:
        for kind, path in job.outputs.items():
            write(notebook, kind, Path(path))
    return error


def clean(notebook: Any) -> None:
    """Take off what an earlier run left: a copy that somebody ran by hand must not look as if this job had."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def parametrise(notebook: Any, parameters: Mapping[str, str], new_cell: Any) -> None:
    """Put the values into a cell of their own after the one tagged ``parameters``, else first."""
    if not parameters:
        return
    cell = new_cell("\n".join(f"{name} = {value}" for name, value in parameters.items()))
    cell.metadata["tags"] = ["injected-parameters"]
    tags = [entry.metadata.get("tags", []) for entry in notebook.cells]
    earlier = next((place for place, each in enumerate(tags) if "injected-parameters" in each), None)
    if earlier is not None:
        notebook.cells[earlier] = cell
        return
    marked = next((place for place, each in enumerate(tags) if "parameters" in each), -1)
    notebook.cells.insert(marked + 1, cell)


def write(notebook: Any, kind: str, path: Path) -> None:
    """Write the notebook in a format, whole or not at all."""
    if kind == "ipynb":
        import nbformat

        text = nbformat.writes(notebook)
    else:
        import nbconvert  # type: ignore[import-not-found]

        text, _ = nbconvert.get_exporter(kind)().from_notebook_node(notebook)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def record(job: Job, **values: Any) -> None:
    """Write into the job's row."""
    values["update_time"] = now()
    columns = ", ".join(f"{name} = ?" for name in values)
    with closing(sqlite3.connect(job.database, timeout=60)) as database, database:
        database.execute(f"UPDATE jobs SET {columns} WHERE job_id = ?", [*values.values(), job.id])  # noqa: S608 - our names


def now() -> int:
    """Milliseconds since 1970, as jupyter-scheduler has its times."""
    return int(time.time() * 1000)


def die_with(parent: int) -> None:
    """Have the system end this process when the one that started it ends, however that ends.

    A job without its server is seen by nobody. A notebook's kernel looks for its parent by itself, but not before it is
    up, and then only for a parent that init has taken over.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


if __name__ == "__main__":
    run(Job(**json.load(sys.stdin)))
