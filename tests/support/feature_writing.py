"""The writing side of the feature service as a process in the environment ``feast``, on real servers."""

import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from tests.support import ROOT
from tests.support.feature_servers import PASSWORD, Postgres, Valkey

VIEW: dict[str, Any] = {
    "name": "robots",
    "set": "robots",
    "kind": "raw",
    "key": "robot_id",
    "entity": "robot-id",
    "time": "seen",
    "fields": [
        {"name": "robot_age", "column": "robot-age", "type": "number"},
        {"name": "bolts", "column": "bolts", "type": "integer"},
        {"name": "battery", "column": "battery", "type": "text"},
        {"name": "rusty", "column": "rusty", "type": "boolean"},
        {"name": "built", "column": "built", "type": "date"},
    ],
}


class Writing:
    """A process that takes one command at a time."""

    def __init__(self, folder: Path, valkey: Valkey, postgres: Postgres) -> None:
        self.folder, self.valkey, self.postgres = folder, valkey, postgres
        folder.mkdir(exist_ok=True)
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        words = [str(self.folder), self.postgres.address, str(self.valkey.port), PASSWORD]
        environments.make(["feast"])
        program = ROOT / "tests" / "support" / "features_inside" / "writing.py"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [environments.folder_of("feast") / "bin" / "python", "-P", program, *words],
                env={**os.environ, "PYTHONPATH": str(ROOT), "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.answer(600) == "ready"

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def begin(self, name: str, **given: Any) -> None:
        """Send a command without waiting for its answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": name, **given}).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds: float = 300) -> Any:
        """The answer to a command."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], seconds)[0], "no answer"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        found = json.loads(line)
        if isinstance(found, dict) and "cause" in found:
            raise PantheonError(found["cause"], found["cure"], found["status"])
        assert not isinstance(found, dict) or "fault" not in found, found["fault"]
        return found["answer"] if isinstance(found, dict) else found

    def do(self, name: str, **given: Any) -> Any:
        """The answer to a command; PantheonError as the service raises it."""
        self.begin(name, **given)
        return self.answer()

    def define(self, **different: Any) -> None:
        """Define a view."""
        self.do("define", definition=VIEW | different)

    def part(self, rows: Sequence[Sequence[Any]], view: str = "robots") -> str:
        """Store a part with rows ``[id, event, *values]``."""
        name: str = self.do("part", view=view, rows=rows)
        return name
