"""The dataflow service as a real process, and runs whose ETL is done."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.processes import find, table
from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run
from tests.conftest import ROOT
from tests.store.servers import free_ports

TOKEN = "moonlight4711"


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``condition`` returns as soon as it is true."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.02)
    return found


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


@dataclass
class Client:
    """Requests to the service, with its token unless another is given."""

    port: int
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {TOKEN}"})

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def go_on(self, run: Run) -> Answer:
        return self("POST", f"/runs/{run.id}/continue")

    def look(self, run: Run) -> Any:
        answer = self("GET", f"/runs/{run.id}")
        assert answer.status == 200
        return answer.json

    def until(self, run: Run, *states: str, seconds: float = 120.0) -> Any:
        """How the run stands, as soon as its state is one of ``states``."""
        return until(lambda: found if (found := self.look(run))["state"] in states else None, seconds)


class Service:
    """One service on one state folder; ``start`` again after it was killed."""

    def __init__(self, state: Path) -> None:
        self.state, self.log = state, state / "dataflow.log"
        self.client = Client(free_ports(1)[0])
        (state / "secrets").mkdir(exist_ok=True)
        (state / "secrets" / "dataflow_token").write_text(TOKEN + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> Client:
        given = {
            **os.environ, "PYTHONPATH": str(ROOT), "STATE_DIR": str(self.state), "SECRETS_DIR": f"{self.state}/secrets",
            "DATAFLOW_HOST": "127.0.0.1", "DATAFLOW_PORT": str(self.client.port), **environment,
        }  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pantheon.dataflow"], env=given, cwd=self.state, stdout=log, stderr=log
            )
        until(self.answers)
        return self.client

    def answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.said
        try:
            return self.client("GET", "/healthz").status == 200
        except OSError:
            return False

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def children(self) -> list[int]:
        """Every process that works in the state folder, the service excepted."""
        found = []
        for pid in table():
            try:
                inside = f"STATE_DIR={self.state}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if inside and pid != self.pid and find(pid):
                found.append(pid)
        return found

    def end(self, number: int) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


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
    """A service, not yet started, with a state folder of its own."""
    made = Service(Path(shutil.copytree(after_etl, tmp_path / "state-folder")))
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    if made.process:
        until(lambda: not made.children(), 30)
    if made.log.exists():
        assert "Traceback" not in made.said, made.said


@pytest.fixture
def runs(service: Service) -> list[Run]:
    return Run.all(service.state)
