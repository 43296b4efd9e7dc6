"""The data part of the feature service as a process in the environment ``feast``, and a client for it."""

import base64
import json
import os
import select
import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pantheon.engines.local import environments
from pantheon.features.client import Features
from pantheon.web.client import Answer
from tests.support import ROOT

START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")
SECONDS = 300.0  # for an answer


class Data:
    """The process; it takes one request at a time.

    Args:
        registry: of Feast; empty: a file in ``state``.
    """

    def __init__(self, state: Path, registry: str = "", **environment: str) -> None:
        self.state = state
        (state / "state").mkdir(parents=True, exist_ok=True)
        self.log = state / "log"
        self.registry = registry or f"sqlite:///{state}/registry.db"
        self.environment = environment
        self.client = Client(self)
        self.start()

    def start(self) -> None:
        given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        given |= {"PYTHONPATH": str(ROOT), "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore", **self.environment}
        given |= {"VALKEY_HOST": "127.0.0.1", "VALKEY_PORT": "1", "VALKEY_PASSWORD": ""}  # which nothing here asks
        environments.make(["feast"])
        program = ROOT / "tests" / "support" / "features_inside" / "data.py"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [environments.folder_of("feast") / "bin" / "python", "-P", program, str(self.state), self.registry],
                env=given,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.answer() == "ready"

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def begin(self, **given: Any) -> None:
        """Send a request without waiting for its answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(given).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], SECONDS)[0], "no answer"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        found: dict[str, Any] = json.loads(line)
        assert "fault" not in found, found["fault"]
        return found

    def answer(self) -> Any:
        """The answer of ``do``."""
        return self.receive()["answer"]

    def do(self, name: str, **given: Any) -> Any:
        self.begin(do=name, **given)
        return self.answer()

    def write(self, view: str, rows: bytes, now: str) -> Any:
        """Store rows as at another time; ISO 8601."""
        return self.do("write", view=view, rows=base64.b64encode(rows).decode(), now=now)


class Client(Features):
    """Asks the process, and not over HTTP."""

    def __init__(self, data: Data) -> None:
        super().__init__("http://127.0.0.1:1", Path("/dev/null"))
        self.data = data

    def _send(self, method: str, path: str, body: Any) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.data.begin(method=method, path=path, body=base64.b64encode(content).decode())
        found = self.data.receive()
        answer = Answer(found["status"], {}, base64.b64decode(found["body"]))
        if not answer.ok:
            raise self._refusal(answer)
        return answer


def parquet(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file."""
    file = BytesIO()
    frame.write_parquet(file)
    return file.getvalue()
