"""KServe's environment: scripts in it, and KServe's ModelServer with the models of a deployment."""

import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pantheon.engines.local import environments
from tests.support import ROOT
from tests.support.waiting import until

TOKEN = "KserveToken0123456789KserveToken01234567"


def environment(**given: str) -> dict[str, str]:
    """That of a process in KServe's environment, which may keep its bytecode: compiling KServe takes long."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    return kept | given


@cache
def python() -> str:
    """The Python of KServe's environment."""
    environments.make(["kserve"])
    return str(environments.folder_of("kserve") / "bin" / "python")


def run(script: Path, **given: str) -> Any:
    """The JSON that a script prints in KServe's environment, with no module of ours."""
    env = environment(**given)
    done = subprocess.run([python(), str(script)], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@dataclass
class Server:
    """``python -m serving.kserve_server`` on a port that stays the same when it is started again."""

    state: Path
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an endpoint that has it predict."""
        return {"ENDPOINT_KSERVE": f"http://127.0.0.1:{self.port}", "KSERVE_TOKEN_FILE": str(self.token)}

    @property
    def token(self) -> Path:
        return self.state / "secrets" / "kserve" / "token"

    def start(self) -> None:
        """Start it; ``ready`` waits until it answers."""
        settings = {"STATE_DIR": str(self.state), "KSERVE_PORT": str(self.port), "KSERVE_TOKEN_FILE": str(self.token)}
        env = environment(PYTHONPATH=str(ROOT), **settings)
        with self.log.open("ab") as log:
            command = [python(), "-m", "serving.kserve_server"]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def ready(self) -> None:
        until(lambda: self.ask("/v2/health/live") == 200, 120, "KServe")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(60)

    def models(self) -> list[str]:
        """The models that it has."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v2/models")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return sorted(json.load(answer)["models"])

    def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> int:
        """The status of an answer; 0: there is none."""
        assert self.process
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@contextlib.contextmanager
def serving(state: Path, port: int) -> Iterator[Server]:
    """KServe with the models of a deployment, ready."""
    server = Server(state, port, state / "kserve.log")
    server.token.parent.mkdir(parents=True, exist_ok=True)
    server.token.write_text(TOKEN)
    server.start()
    try:
        server.ready()
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(60)
            server.process.kill()
            server.process.wait(60)
