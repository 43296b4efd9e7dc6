"""The dataflow service as a real process, and runs whose ETL is done."""

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.processes import find, table
from pantheon.workflow.run import Run
from tests.support import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import until

TOKEN = "moonlight4711"


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
    """Requests to the service, with its token unless another one is given."""

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

    def resume(self, run: Run) -> Answer:
        return self("POST", f"/runs/{run.id}/continue")

    def status(self, run: Run) -> Any:
        answer = self("GET", f"/runs/{run.id}")
        assert answer.status == 200
        return answer.json

    def until(self, run: Run, *states: str, seconds: float = 120.0) -> Any:
        """Wait until the run's state is one of ``states``, and return its status."""
        return until(lambda: status if (status := self.status(run))["state"] in states else None, seconds)


class Service:
    """One service on one state folder; call ``start`` again after it was killed."""

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
        assert self.process and self.process.poll() is None, self.output
        try:
            return self.client("GET", "/healthz").status == 200
        except OSError:
            return False

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def children(self) -> list[int]:
        """Return the PIDs of all processes that work in the state folder, except the service."""
        pids = []
        for pid in table():
            try:
                inside = f"STATE_DIR={self.state}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if inside and pid != self.pid and find(pid):
                pids.append(pid)
        return pids

    def end(self, number: int) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=60)
