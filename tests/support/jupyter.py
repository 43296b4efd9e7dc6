"""The real JupyterLab on the local engine, in a state folder of its own and on a free port, for all tests here."""

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pantheon import components
from pantheon.deployment import secrets
from pantheon.deployment.deployment import FOLDERS
from pantheon.engines import Options
from pantheon.engines.local import environments
from pantheon.engines.local.engine import LocalEngine
from pantheon.jupyter import notebooks
from pantheon.jupyter.client import Jupyter
from pantheon.state import Route, Settings, write_settings
from pantheon.workflow.run import Params, Run
from tests.support import ROOT

ROBOTS = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 1500")


MODEL = f"""
name: jupyter-test
include:
  - {ROOT}/compose/workflow.yaml
  - {ROOT}/compose/jupyter.yaml
"""


@dataclass
class Lab:
    """A deployment with JupyterLab."""

    folder: Path
    offset: int
    echoed: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{8888 + self.offset}"

    @property
    def token(self) -> str:
        return (self.state / "secrets" / "jupyter_token").read_text()

    @property
    def jupyter(self) -> Jupyter:
        return Jupyter(self.url, self.token)

    @property
    def log(self) -> str:
        return (self.state / "logs" / "jupyter.log").read_text()

    def engine(self) -> LocalEngine:
        file = self.folder / "compose.yaml"
        options = Options("jupyter-test", self.state, file, ROOT, self.offset, echo=self.echoed.append)
        return LocalEngine(options, environments.folder_of)

    def up(self) -> None:
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        for component in ("jupyter", "s3"):  # a terminal's DVC has the keys of S3
            secrets.make(self.state / "secrets", components.read(ROOT / "compose" / f"{component}.yaml").secrets)
        notebooks.copy_shipped(self.state)
        (self.folder / "compose.yaml").write_text(MODEL)
        self.engine().up()

    def pid(self) -> int:
        return next(status.pid for status in self.engine().status() if status.name == "jupyter")

    def running(self, module: str = "") -> list[psutil.Process]:
        """The living processes of this deployment that run a Python module; all where none is named."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("STATE_DIR") == str(self.state)
                if ours and process.status() != psutil.STATUS_ZOMBIE and (not module or module in process.cmdline()):
                    found.append(process)
        return found

    def kernels(self) -> list[psutil.Process]:
        return self.running("ipykernel_launcher")

    def new_run(self, until: str = "preprocess", state: Path | None = None, spec: str = ROBOTS) -> Run:
        """A run of 1,500 robots and two trials, done up to a stage, by the command that every engine runs."""
        run = Run.create(state or self.state, spec, "robots", Params(trials=2), tier="zeus", runner="graph")
        if until:
            self.tasks(run, "run", "--run", run.id, "--until", until)
        return run

    def tasks(self, run: Run, *arguments: str) -> None:
        """``pantheon.worker`` in the workflow's environment."""
        environment = {"STATE_DIR": str(run.state), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        python = environments.folder_of("workflow") / "bin" / "python"
        command = [str(python), "-P", "-m", "pantheon.worker", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    def route(self, route: Route) -> None:
        """Publish who runs which part, as ``up`` does."""
        write_settings(self.state, Settings(tier="nemesis", route=route))

    def run_graph(self, run: Run) -> list[dict[str, Any]]:
        """Every notebook of the run by a task of the service; its events."""
        lines: list[str] = []
        words = ["python", "-m", "pantheon.jupyter.run_graph", "--run", run.id, "--address", self.url]
        self.engine().run_task("jupyter", words, on_output=lines.append)
        return [json.loads(line) for line in lines]

    def write(self, name: str, *cells: str) -> Path:
        """A notebook of these cells, the first tagged as parameters, where the user has theirs."""
        path = self.state / "notebooks" / f"{name}.ipynb"
        found: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"c{place}",
                "metadata": {},
                "source": text,
                "outputs": [],
                "execution_count": None,
            }
            for place, text in enumerate(cells)
        ]
        found[0]["metadata"] = {"tags": ["parameters"]}
        kernel = {"name": "pantheon", "display_name": "Pantheon workflow", "language": "python"}
        book = {"cells": found, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(book))
        return path
