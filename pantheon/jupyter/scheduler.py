"""jupyter-scheduler with what it lacks: jobs whose process died are told from running ones, and a start that is quick."""

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from jupyter_scheduler import executors, scheduler  # type: ignore[import-not-found]
from jupyter_scheduler.environments import EnvironmentManager  # type: ignore[import-not-found]
from jupyter_scheduler.models import RuntimeEnvironment, Status  # type: ignore[import-not-found]
from jupyter_scheduler.orm import Job  # type: ignore[import-not-found]

from pantheon.jupyter import job, kernel
from pantheon.jupyter_jobs import INTERRUPTED

UNFINISHED = (Status.CREATED, Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING)


class Environments(EnvironmentManager):  # type: ignore[misc]
    """What the form for a new job offers."""

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


class Execution(executors.DefaultExecutionManager):  # type: ignore[misc]
    """Has a job run by ``pantheon.jupyter.job``, which starts in a fraction of the time."""

    @property
    def process(self) -> Callable[[], None]:
        """What the job's process calls."""
        model = self.model
        if model.package_input_folder:  # the rare case of a job with the files beside it: as jupyter-scheduler does it
            own: Callable[[], None] = super().process
            return own
        outputs = {kind: path for kind, path in self.staging_paths.items() if kind != "input"}
        return partial(
            job.run,
            job.Job(
                id=self.job_id,
                server=os.getpid(),
                database=self.db_url.removeprefix("sqlite:///"),
                source=self.staging_paths["input"],
                outputs=outputs,
                folder=self.root_dir,
                parameters=model.parameters or {},
            ),
        )


class Scheduler(scheduler.Scheduler):  # type: ignore[misc]
    """Keeps the outputs where people see them, and the records true.

    A job's files are written to ``jobs/ID`` below the notebooks at once: nothing is left to download.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bury(set())  # jobs end with the server: whatever the records say of an earlier one's, none runs

    def get_local_output_path(self, model: Any, root_dir_relative: bool | None = False) -> str:
        folder: str = os.path.join(self.staging_path, model.job_id)  # noqa: PTH118 - a str, as the base class has it
        return os.path.relpath(folder, self.root_dir) if root_dir_relative else folder

    def create_job(self, model: Any) -> str:
        made: str = super().create_job(model)
        with self.db_session() as session:  # it begins as STOPPED, as if somebody had stopped it
            row = session.query(Job).filter(Job.job_id == made, Job.status == Status.STOPPED, Job.start_time.is_(None))
            row.update({"status": Status.QUEUED})
            session.commit()
        return made

    def get_job(self, job_id: str, job_files: bool | None = True) -> Any:
        self._look()
        return super().get_job(job_id, job_files)

    def list_jobs(self, query: Any) -> Any:
        self._look()
        return super().list_jobs(query)

    def _look(self) -> None:
        """Find jobs whose process was killed. The processes first, their records after: one that ends says so before."""
        self._bury({process.pid for process in multiprocessing.active_children()})

    def _bury(self, alive: set[int | None]) -> None:
        with self.db_session() as session:
            for row in session.query(Job).filter(Job.status.in_(UNFINISHED)).all():
                if row.pid in alive:
                    continue
                if row.status == Status.STOPPING:
                    row.status = Status.STOPPED
                else:
                    row.status, row.status_message = Status.FAILED, INTERRUPTED
            session.commit()
