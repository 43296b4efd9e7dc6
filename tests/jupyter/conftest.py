"""The real JupyterLab on the local engine, in a state folder of its own and on a free port, for all tests here."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.cli import credentials, envs, notebooks
from pantheon.cli.deployment import FOLDERS
from pantheon.engines.local import LocalEngine
from pantheon.jupyter_jobs import Jupyter
from pantheon.workflow.run import Params, Run, read_json
from tests.conftest import ROOT, assert_nothing_left, free_port_offset

ROBOTS = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 1500")
MODEL = f"""
name: jupyter-test
include:
  - {ROOT}/compose/workflow.yaml
  - {ROOT}/compose/jupyter.yaml
"""


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``condition`` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found


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
        return LocalEngine("jupyter-test", self.state, file, ROOT, envs.folder_of, self.offset, self.echoed.append)

    def up(self) -> None:
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        credentials.make(self.state / "secrets")
        notebooks.bring(self.state)
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
        """``pantheon.tasks`` in the workflow's environment."""
        environment = {"STATE_DIR": str(run.state), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        python = envs.folder_of("workflow") / "bin" / "python"
        command = [str(python), "-P", "-m", "pantheon.tasks", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

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


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    envs.make(["workflow", "jupyter"])
    made = Lab(tmp_path_factory.mktemp("lab"), free_port_offset((8888,)))
    made.up()
    yield made
    made.engine().down()
    assert_nothing_left(made.folder)


@pytest.fixture(scope="session")
def through_jobs(lab: Lab) -> Run:
    """A run whose stages after the ETL were done by notebooks as jobs; deploy by the command."""
    from concurrent.futures import ThreadPoolExecutor

    from pantheon.jupyter_jobs import graph_of, run_notebook

    run, graph = lab.new_run(), graph_of({"models": "s3"})
    done: set[str] = set()
    with ThreadPoolExecutor(2) as pool:
        while len(done) < len(graph):
            ready = [name for name, needs in graph.items() if name not in done and done.issuperset(needs)]
            list(pool.map(lambda name: run_notebook(lab.jupyter, name, run.id, lab.state, timeout=150), ready))
            done.update(ready)
    lab.tasks(run, "run", "--run", run.id)
    assert read_json(run.path("outcome.json"))["decision"] == "promoted"
    return run
