"""The button on a free port of this process, and a client that speaks plain HTTP to it."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pantheon.deployment.logins import link
from pantheon.files import write_json
from pantheon.state import set_served
from pantheon.store import FolderStore
from pantheon.web.server import Server
from serving.button import Button
from tests.support.ports import free_ports

PASSWORD = "Ithaca0123456789Ithaca0123456789Ithaca01"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, which is JSON whatever was wrong."""
        assert 400 <= self.status < 600, self
        assert self.headers["content-type"] == "application/json", self
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "row", "field", "expected", "got"}
        return error


@dataclass
class Client:
    """Requests to one server; ``headers`` go with each."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {**self.headers, **named})
            response = connection.getresponse()
            headers_got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers_got, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        return self("POST", path, json.dumps(value), **({"Content_Type": "application/json"} | headers))

    def predict(self, *rows: Any, query: str = "") -> Answer:
        return self.post(f"/predict{query}", {"payload": list(rows)})

    def form(self, path: str, body: str, **headers: str) -> Answer:
        return self("POST", path, body, **({"Content_Type": "application/x-www-form-urlencoded"} | headers))

    def raw(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes as they are; everything that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return received


class Deployment:
    """A state folder as the command line makes it."""

    def __init__(self, folder: Path, tier: str = "persephone", model: str = "robots") -> None:
        self.folder, self.model = folder, model
        for name in ("state", "models", "runs"):
            (folder / name).mkdir(parents=True)
        self.store = FolderStore(folder / "models")
        self.password = folder / "secrets" / "button" / "password"
        self.password.parent.mkdir(parents=True)
        self.password.write_text(PASSWORD)
        write_json(folder / "state" / "deployment.json", {"tier": tier, "dataset": model})

    def publish(self, bundle: Path, *, promote: bool = True, score: float = 0.9) -> str:
        metadata = {"chosen": "linear", "metric": {"name": "accuracy", "value": score}}
        version = self.store.publish(self.model, bundle, metadata)
        if promote:
            self.store.promote(self.model, version, by="test")
            set_served(self.folder, self.model)
        return version

    @property
    def own(self) -> Path:
        """The button's own folder."""
        return self.folder / "volumes" / "button"

    def link(self, port: int) -> str:
        """A link that logs in once, as ``status`` prints it."""
        return link(f"http://localhost:{port}", "/login?token=", self.password)


def logged_in(client: Client) -> Client:
    """A client with the cookie that a browser gets for the password, and the Origin that a browser sends."""
    answer = client.form("/login", urlencode({"password": PASSWORD}))
    assert answer.status == 303, answer
    origin = f"http://127.0.0.1:{client.port}"
    return Client(client.port, {"Cookie": answer.headers["set-cookie"].split(";")[0], "Origin": origin})


@contextlib.contextmanager
def serving(deployment: Deployment, **addresses: str) -> Iterator[tuple[Button, Client]]:
    """The whole service, with ``addresses`` as ``Button`` takes them. The client is logged in."""
    (port,) = free_ports(1)
    button = Button(deployment.folder, port, password=deployment.password, own=deployment.own, **addresses)
    server = Server("127.0.0.1", port, button)
    server.prepare()
    button.champion.refresh()
    button.champion.start()
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), kwargs={"signals": False}, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield button, logged_in(Client(port))
    finally:
        button.champion.stop()
        server.stop()
        thread.join(60)
        assert not thread.is_alive()
