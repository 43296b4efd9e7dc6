"""The front end as a process, before an endpoint that is a process too; both can be killed and started again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pantheon.predictions import frames
from pantheon.predictions.records import Feedback
from tests.support import ROOT
from tests.support.button import Answer, Client, Deployment
from tests.support.endpoint import free_port, spool_of
from tests.support.waiting import until

TOKEN = "token-of-the-front-end-0123456789abcdef0"
SECRET = "secret-of-the-front-end-0123456789abcdef"


class Service:
    """One of the two processes, on a port that it keeps."""

    def __init__(self, module: str, port: int, environment: dict[str, str], log: Path) -> None:
        self.module, self.port, self.environment, self.log = module, port, environment, log
        self.client = Client(port)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is healthy."""
        command = [sys.executable, "-m", self.module]
        env = os.environ | {"PYTHONPATH": str(ROOT)} | self.environment
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stderr=log)
        until(self.healthy, what=f"{self.module} is healthy")

    def healthy(self) -> bool:
        assert self.process and self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            answer = self.client.get("/healthz")
            return answer.status == 200 and (self.module != "serving.inference" or bool(answer.json["ready"]))
        return False

    def stop(self) -> None:
        """Have it hang: it is alive, and answers nothing until ``go_on``."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """``kill -9``."""
        if self.process:
            self.process.kill()
            self.process.wait(60)
            self.process = None


class Both:
    """The endpoint and the front end."""

    def __init__(self, deployment: Deployment, folder: Path, **environment: str) -> None:
        state, folder = deployment.folder, folder
        folder.mkdir(exist_ok=True)
        keys = state / "secrets" / "endpoint_keys"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / "frontend").write_text(f"{TOKEN}\n")
        (folder / "secret").write_text(SECRET)
        self.key = folder / "key"
        self.key.write_text(f"{TOKEN}\n")
        self.deployment, self.folder, ports = deployment, folder / "own", (free_port(), free_port())
        given = {"STATE_DIR": str(state), "ENDPOINT_PORT": str(ports[0])}
        self.endpoint = Service("serving.inference", ports[0], given, folder / "endpoint.log")
        own = {
            "ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}",
            "ENDPOINT_KEY_FILE": str(self.key),
            "FRONTEND_SECRET_FILE": str(folder / "secret"),
            "FRONTEND_DIR": str(self.folder),
            "FRONTEND_PORT": str(ports[1]),
        }
        self.frontend = Service("serving.frontend", ports[1], own | environment, folder / "frontend.log")

    def start(self) -> None:
        """Start what is not running, and have go on what hangs."""
        for service in (self.endpoint, self.frontend):
            if service.process is None:
                service.start()
            else:
                service.go_on()

    @property
    def address(self) -> str:
        return f"http://localhost:{self.frontend.port}"

    def waiting(self) -> list[Path]:
        """Feedback that was not delivered yet."""
        return sorted((self.folder / "outbox").glob("*.json"))


@contextlib.contextmanager
def both(deployment: Deployment, folder: Path, **environment: str) -> Iterator[Both]:
    """The two processes, healthy; ``environment``: more settings of the front end."""
    found = Both(deployment, folder, **environment)
    try:
        found.start()
        yield found
    finally:
        found.frontend.kill()
        found.endpoint.kill()


class Visitor:
    """A browser without a screen: keeps the cookie and sends the page's tokens."""

    def __init__(self, client: Client) -> None:
        self.client, self.cookie = client, ""

    def get(self, path: str = "/") -> Answer:
        return self._kept(self.client.get(path, Cookie=self.cookie))

    def post(self, path: str, values: dict[str, str], **headers: str) -> Answer:
        body = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in values.items())
        return self._kept(self.client.form(path, body, **({"Cookie": self.cookie} | headers)))

    def _kept(self, answer: Answer) -> Answer:
        if given := answer.headers.get("set-cookie"):
            self.cookie = given.split(";")[0]
        return answer

    def predict(self, **inputs: str) -> Answer:
        """Send the form with these inputs; ``_`` stands for ``-`` in their names."""
        form = {f"in:{name.replace('_', '-')}": value for name, value in inputs.items()}
        return self.post("/predict", {"token": token(self.get().text, "/predict"), **form})

    def feedback(self, page: Answer, correct: str, **more: str) -> Answer:
        """Say something about the answer on a page."""
        values = {"token": token(page.text, "/feedback"), "id": request_id(page), "correct": correct, **more}
        return self.post("/feedback", values)


def token(page: str, action: str) -> str:
    """The token of the form with this action."""
    found = re.search(f'action="{action}".*?name="token" value="([^"]+)"', page, re.DOTALL)
    assert found, page
    return found[1]


def request_id(page: Answer) -> str:
    found = re.search(r'name="id" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def said(deployment: Deployment) -> list[Feedback]:
    """All feedback that the endpoint has recorded, in order, doubled pieces too."""
    files = sorted(spool_of(deployment.folder).glob("*"))
    return [each for file in files for each in frames.read(file.read_bytes()) if isinstance(each, Feedback)]
