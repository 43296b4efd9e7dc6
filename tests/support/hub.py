"""The real JupyterHub with its proxy, what keeps servers, and TensorBoard, on the local engine."""

import html
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from pantheon import components
from pantheon.deployment import secrets
from pantheon.deployment.deployment import FOLDERS
from pantheon.engines import Options
from pantheon.engines.local import environments
from pantheon.engines.local.engine import LocalEngine
from pantheon.hub import people
from pantheon.jupyter import notebooks
from tests.support import ROOT
from tests.support.waiting import until

HUB_PORTS = (8888, 8889, 8890, 8891, 6006)
ENVIRONMENTS = ["hub", "jupyter", "tensorboard", "workflow"]
PARTS = ("hub", "tensorboard")
PAGE = {"Accept": "text/html,application/json;q=0.9"}  # what a browser sends for a page


@dataclass
class Hub:
    """A deployment with JupyterHub and TensorBoard.

    Attributes:
        variables: of the user's shell, such as ``HUB_IDLE``.
        parts: compose files besides the workflow's.
    """

    folder: Path
    offset: int
    variables: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = PARTS

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{8888 + self.offset}"

    @property
    def tensorboard(self) -> str:
        return f"http://127.0.0.1:{6006 + self.offset}"

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().strip()

    def engine(self) -> LocalEngine:
        file = self.folder / "compose.yaml"
        options = Options("hub-test", self.state, file, ROOT, self.offset, environment=self.variables)
        return LocalEngine(options, environments.folder_of)

    def up(self) -> None:
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        for part in (*self.parts, "s3"):
            secrets.make(self.state / "secrets", components.read(ROOT / "compose" / f"{part}.yaml").secrets)
        notebooks.copy_shipped(self.state)
        files = "".join(f"  - {ROOT}/compose/{part}.yaml\n" for part in ("workflow", *self.parts))
        (self.folder / "compose.yaml").write_text(f"name: hub-test\ninclude:\n{files}")
        self.engine().up()

    def pid(self, service: str) -> int:
        return next(status.pid for status in self.engine().status() if status.name == service)

    def healthy(self, service: str) -> bool:
        return next(status.state for status in self.engine().status() if status.name == service) == "healthy"

    def log(self, service: str) -> str:
        return (self.state / "logs" / f"{service}.log").read_text()

    def person(self, name: str, **profiles: str) -> "Person":
        """Add a user with a role in each profile, and log in."""
        for profile in profiles:
            if profile not in {each.name for each in people.read(self.state).profiles}:
                people.add_profile(self.state, profile)
        return Person(self, name, people.add(self.state, name, profiles)).log_in()

    def admin(self) -> "Person":
        return Person(self, "admin", self.secret("hub_password")).log_in()

    def ask(self, method: str, path: str, **given: Any) -> requests.Response:
        """Ask JupyterHub's API as the commands do."""
        headers = {"Authorization": f"token {self.secret('hub_commands_token')}"}
        return requests.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=60, **given)


@dataclass
class Person:
    """Somebody with a browser: a session with cookies that follows redirects."""

    hub: Hub
    name: str
    password: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, address: str, **given: Any) -> requests.Response:
        return self.session.get(self.address(address), timeout=120, **given)

    def address(self, path: str) -> str:
        return path if path.startswith("http") else self.hub.url + path

    def log_in(self, at: str = "/hub/login") -> "Person":
        answer = self.post_form(self.get(at), password=self.password)
        assert answer.url.endswith(("/hub/home", "/hub/spawn")) or "/user/" in answer.url, answer.url
        return self

    def post_form(self, page: requests.Response, password: str) -> requests.Response:
        action = re.search(r'<form[^>]+action="([^"]+)"[^>]*method="post"', page.text)
        token = re.search(r'name="_xsrf"\s+value="([^"]+)"', page.text)
        assert action, page.text[:3000]
        assert token, page.text[:3000]
        where = urllib.parse.urljoin(page.url, html.unescape(action[1]))
        form = {"username": self.name, "password": password, "_xsrf": html.unescape(token[1])}
        return self.session.post(where, data=form, timeout=60)

    def api(self, method: str, path: str, **given: Any) -> requests.Response:
        """Use JupyterHub's API as its pages do: with the cookie and the XSRF token."""
        tokens = [cookie.value for cookie in self.session.cookies if cookie.name == "_xsrf" and cookie.path == "/hub/"]
        headers = {"X-XSRFToken": tokens[-1] or "", "Referer": self.hub.url + "/hub/home"}
        return self.session.request(method, f"{self.hub.url}/hub/api{path}", headers=headers, timeout=120, **given)

    def start(self, server: str = "") -> str:
        """Start a server and return its path."""
        path = f"/users/{self.name}/servers/{server}" if server else f"/users/{self.name}/server"
        answer = self.api("POST", path)
        assert answer.status_code in (201, 202), (answer.status_code, answer.text)
        until(lambda: self.server(server).get("ready"), 240)
        return f"/user/{self.name}/{server + '/' if server else ''}"

    def server(self, server: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.hub.ask("GET", f"/users/{self.name}").json()["servers"].get(server, {})
        return found
