"""A repository as a run: where a stage of dvc.yaml works."""

import os
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.versioning import pipeline
from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run, read_json


class Workspace(Run):
    """The repository's folder, or one that ``dvc exp run --temp`` has made of it somewhere below.

    Its parameters are those of ``params.yaml``, its data and extensions its own: a checkout needs nothing else.
    """

    @property
    def state(self) -> Path:
        return Path(os.environ.get("STATE_DIR") or self.folder)

    @property
    def extensions(self) -> Path:
        return self.folder / "extensions"

    @property
    def by(self) -> dict[str, str]:
        """Stage → who has done it in the run that was recorded, where that was not the workflow's own function."""
        path = self.folder / "run.json"
        found: dict[str, str] = read_json(path).get("by", {}) if path.exists() else {}
        return found

    @property
    def params(self) -> Params:
        return pipeline.read_params(self.folder / "params.yaml")

    def source(self, path: str) -> Path:
        return self.folder / pipeline.SOURCE / Path(path).name

    def repeat(self, stage: str) -> str:
        """Do a stage; gives a line for whoever looks at DVC's output.

        Raises:
            PantheonError: as the stage, or the stage was not the workflow's in the run that was recorded.
        """
        graph.known(stage)
        if by := self.by.get(stage):
            raise PantheonError(
                f"in this version {stage} was done by {by}, which only its notebooks can repeat.",
                f'To have the workflow do it, take "{stage}" out of "by" in run.json.',
            )
        summary = graph.run_stage(stage, self, None)
        return ", ".join([stage, *(f"{key.replace('_', ' ')} {value}" for key, value in summary.items())])

    def mark(self, stage: str, **values: Any) -> None:
        """Nothing: DVC itself keeps what was done."""
