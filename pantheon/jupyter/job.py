"""Run one notebook in a separate process, with the kernel that it names, and write the copy with its outputs.

``python -m pantheon.jupyter.job`` reads the job as JSON from standard input. It does the same as jupyter-scheduler's
own executor without importing it, nbconvert and SQLAlchemy: in a new process for every job, these imports take longer
than most notebooks.
"""

import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.files import write_text
from pantheon.jupyter import kernel, lean
from pantheon.processes import bind_to_parent, bound_to_me

KERNEL_DIED = "the kernel died: it was killed, or the machine ran out of memory"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """A notebook job.

    Attributes:
        id: the job's key in the jobs database.
        server: the process that started this one.
        database: the jobs database, an SQLite file.
        source: the copy of the notebook made when the job was created.
        outputs: format → output path (``ipynb`` and the formats that nbconvert exports).
        folder: the notebook's working directory.
        parameters: name → value as Python source.
    """

    id: str
    server: int
    database: str
    source: str
    outputs: Mapping[str, str]
    folder: str
    parameters: Mapping[str, str]


def run(job: Job) -> None:
    """Run the job and record its status in the jobs database."""
    bind_to_parent(job.server)  # no client can see a job whose server has ended
    record(job, status="IN_PROGRESS", start_time=now())
    try:
        error = execute(job)
    except Exception as problem:  # noqa: BLE001 - every error must be recorded
        error = f"{type(problem).__name__}: {COLOURS.sub('', str(problem))}"
    if error:
        record(job, status="FAILED", status_message=error[:1000], end_time=now())
    else:
        record(job, status="COMPLETED", end_time=now())


def execute(job: Job) -> str:
    """Run the notebook and write the outputs, also if a cell fails.

    Returns:
        The error of the failed cell in one line; empty if no cell failed.
    """
    lean.imports()
    import nbformat  # type: ignore[import-not-found]
    from nbclient import NotebookClient  # type: ignore[import-not-found]
    from nbclient.exceptions import CellExecutionError, DeadKernelError  # type: ignore[import-not-found]
    from traitlets.config import Config

    kernel.write(Path(os.environ["JUPYTER_DATA_DIR"]))
    notebook = nbformat.read(job.source, as_version=4)
    clean(notebook)
    add_parameters(notebook, job.parameters, nbformat.v4.new_code_cell)
    client = NotebookClient(
        notebook,
        config=Config(KernelManager={"transport_encryption": kernel.ENCRYPTION}),
        timeout=None,
        kernel_name=notebook.metadata.kernelspec["name"],
        resources={"metadata": {"path": job.folder}},
        shutdown_kernel="immediate",  # all results are already written
    )
    error = ""
    try:
        # a kernel only starts to watch its parent once it is running, and only notices that init adopted it
        client.execute(preexec_fn=bound_to_me())
    except CellExecutionError as failed:
        error = COLOURS.sub("", f"{failed.ename}: {failed.evalue}")
    except (DeadKernelError, RuntimeError) as failed:  # RuntimeError: while the kernel starts
        error = KERNEL_DIED if "died" in str(failed) else f"{type(failed).__name__}: {failed}"
    finally:
        for kind, path in job.outputs.items():
            write(notebook, kind, Path(path))
    return error


def clean(notebook: Any) -> None:
    """Remove outputs of earlier executions, so that they cannot be mistaken for this job's."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def add_parameters(notebook: Any, parameters: Mapping[str, str], new_cell: Any) -> None:
    """Insert a cell with the values after the cell tagged ``parameters``, or as the first cell."""
    if not parameters:
        return
    cell = new_cell("\n".join(f"{name} = {value}" for name, value in parameters.items()))
    cell.metadata["tags"] = ["injected-parameters"]
    tags = [entry.metadata.get("tags", []) for entry in notebook.cells]
    earlier = next((index for index, names in enumerate(tags) if "injected-parameters" in names), None)
    if earlier is not None:
        notebook.cells[earlier] = cell
        return
    marked = next((index for index, names in enumerate(tags) if "parameters" in names), -1)
    notebook.cells.insert(marked + 1, cell)


def write(notebook: Any, kind: str, path: Path) -> None:
    """Write the notebook in one format, atomically."""
    if kind == "ipynb":
        import nbformat

        text = nbformat.writes(notebook)
    else:
        import nbconvert  # type: ignore[import-not-found]

        text, _ = nbconvert.get_exporter(kind)().from_notebook_node(notebook)
    write_text(path, text)


def record(job: Job, **values: Any) -> None:
    """Update the job's row in the database."""
    values["update_time"] = now()
    columns = ", ".join(f"{name} = ?" for name in values)
    with closing(sqlite3.connect(job.database, timeout=60)) as database, database:
        database.execute(f"UPDATE jobs SET {columns} WHERE job_id = ?", [*values.values(), job.id])  # noqa: S608 - the column names are constants


def now() -> int:
    """Return milliseconds since 1970, jupyter-scheduler's unit."""
    return int(time.time() * 1000)


if __name__ == "__main__":
    run(Job(**json.load(sys.stdin)))
