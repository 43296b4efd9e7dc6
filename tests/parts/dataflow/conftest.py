"""A dataflow service for each test, and runs whose ETL is done."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.dataflow import Service, until


@pytest.fixture(scope="session")
def after_etl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with two runs of robots whose ETL is done."""
    state = tmp_path_factory.mktemp("etl")
    (state / "state").mkdir()
    spec = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 800")
    assert "rows = 800" in spec
    for _ in range(2):
        run = Run.create(state, spec, "robots", Params(trials=2), tier="prometheus", runner="graph")
        graph.run_graph(run, None, lambda event: None, "preprocess")
    return state


@pytest.fixture
def service(after_etl: Path, tmp_path: Path) -> Iterator[Service]:
    """A service, not yet started, with its own state folder."""
    made = Service(Path(shutil.copytree(after_etl, tmp_path / "state-folder")))
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    if made.process:
        until(lambda: not made.children())
    if made.log.exists():
        assert "Traceback" not in made.output, made.output


@pytest.fixture
def runs(service: Service) -> list[Run]:
    return Run.all(service.state)
