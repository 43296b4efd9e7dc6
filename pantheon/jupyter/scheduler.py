"""jupyter-scheduler with jobs that start faster, and with correct job records after a job is killed."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from jupyter_scheduler import scheduler  # type: ignore[import-not-found]
from jupyter_scheduler.environments import EnvironmentManager  # type: ignore[import-not-found]
from jupyter_scheduler.exceptions import (  # type: ignore[import-not-found]
    IdempotencyTokenError,
    InputUriError,
    SchedulerError,
)
from jupyter_scheduler.models import DescribeJob, RuntimeEnvironment, Status  # type: ignore[import-not-found]
from jupyter_scheduler.orm import Job as Row  # type: ignore[import-not-found]

from pantheon.jupyter import kernel
from pantheon.jupyter.client import INTERRUPTED
from pantheon.jupyter.job import Job

UNFINISHED = (Status.CREATED, Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING)


class Environments(EnvironmentManager):  # type: ignore[misc]
    """The environments that the form for a new job offers: only one exists."""

    def list_environments(self) -> list[Any]:
        return [
            RuntimeEnvironment(
                name=kernel.NAME,
                label=kernel.TITLE,
                description="The environment that the workflow's stages run in",
                file_extensions=["ipynb"],
                output_formats=list(self.output_formats_mapping()),
                metadata={},
            )
        ]

    def manage_environments_command(self) -> str:
        return ""

    def output_formats_mapping(self) -> dict[str, str]:
        return {"ipynb": "Notebook", "html": "HTML"}


class Scheduler(scheduler.Scheduler):  # type: ignore[misc]
    """Runs every job with ``pantheon.jupyter.job`` in a separate process.

    A job writes its files directly to ``jobs/ID`` in the notebooks' folder, so there is nothing to download. Jobs end
    with the server, so unfinished jobs of an earlier server have ended.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._record_killed()

    def get_local_output_path(self, model: Any, root_dir_relative: bool | None = False) -> str:
        folder: str = os.path.join(self.staging_path, model.job_id)  # noqa: PTH118 - a str, as the base class has it
        return os.path.relpath(folder, self.root_dir) if root_dir_relative else folder

    def create_job(self, model: Any) -> str:
        """Create a job. The base class imports JupyterLab into every job and creates the job's record as STOPPED."""
        if not model.job_definition_id and not self.file_exists(model.input_uri):
            raise InputUriError(model.input_uri)
        if not self.execution_manager_class.validate(
            self.execution_manager_class,
            os.path.join(self.root_dir, model.input_uri),  # noqa: PTH118
        ):
            raise SchedulerError(f"{model.input_uri} does not name a kernel: open it, select a kernel and save it.")
        with self.db_session() as session:
            token = model.idempotency_token
            if token and session.query(Row).filter(Row.idempotency_token == token).first():
                raise IdempotencyTokenError(token)
            model.output_formats = model.output_formats or []
            row = Row(**model.dict(exclude_none=True, exclude={"input_uri"}), status=Status.QUEUED)
            session.add(row)
            session.commit()
            job_id: str = row.job_id
            paths = self.get_staging_paths(DescribeJob.from_orm(row))
            folder = self.root_dir  # the same as when a user runs it
            if model.package_input_folder:
                folder = os.path.dirname(paths["input"])  # noqa: PTH120
                copied = self.copy_input_folder(model.input_uri, paths["input"])
                row.packaged_files = [file for file in copied if file != model.input_filename]
            else:
                self.copy_input_file(model.input_uri, paths["input"])
            row.pid = self._start(job_id, paths, folder, model.parameters or {})
            session.commit()
        return job_id

    def _start(self, job_id: str, paths: dict[str, str], folder: str, parameters: dict[str, str]) -> int:
        job = Job(
            id=job_id,
            server=os.getpid(),
            database=self.db_url.removeprefix("sqlite:///"),
            source=paths["input"],
            outputs={kind: path for kind, path in paths.items() if kind != "input"},
            folder=folder,
            parameters=parameters,
        )
        process = subprocess.Popen([sys.executable, "-m", "pantheon.jupyter.job"], stdin=subprocess.PIPE)
        self.processes[job_id] = process
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(json.dumps(asdict(job)).encode())
        return process.pid

    def get_job(self, job_id: str, job_files: bool | None = True) -> Any:
        self._record_killed()
        return super().get_job(job_id, job_files)

    def list_jobs(self, query: Any) -> Any:
        self._record_killed()
        return super().list_jobs(query)

    def _record_killed(self) -> None:
        """Mark jobs whose process was killed as failed.

        Check the processes before the records: a successful job updates its record before its process ends.
        """
        self.processes = {name: process for name, process in self.processes.items() if process.poll() is None}
        with self.db_session() as session:
            for row in session.query(Row).filter(Row.status.in_(UNFINISHED)).all():
                if row.job_id in self.processes:
                    continue
                if row.status == Status.STOPPING:
                    row.status = Status.STOPPED
                else:
                    row.status, row.status_message = Status.FAILED, INTERRUPTED
            session.commit()
