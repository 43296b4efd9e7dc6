"""The dashboard's pages and what each role may do, with Kubeflow's real service.

The login in front of it is tested in tests/parts/hub.
"""

import html
import io
import itertools
import json
import re
import signal
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.dashboard.app import Dashboard, application, examples
from pantheon.dashboard.board import Sources
from pantheon.dashboard.orders import Orders, read_order
from pantheon.dashboard.servers import Servers
from pantheon.hub import people
from pantheon.hub.oauth import USER
from pantheon.hub.roles import ACTIONS, EVERY, ROLES, Role, allowed
from pantheon.hub.session import User
from pantheon.kubeflow.client import Http, Kubeflow
from pantheon.kubeflow.controllers import load
from pantheon.store import FolderStore
from tests.support.kubeflow import Service, ended, manifest
from tests.support.ports import free_ports
from tests.support.waiting import until

NAMES: dict[Role, str] = {"view": "viewer", "edit": "editor", "admin": "owner"}  # who has this role in the profile team
LINKS = {
    "Notebooks": "http://127.0.0.1:8888/hub/home",
    "Servers of others": "http://127.0.0.1:8888/hub/admin",
    "TensorBoard": "http://127.0.0.1:6006",
}
FORM = "application/x-www-form-urlencoded"


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str


class Asking:
    """Asks the application as a user."""

    def __init__(self, app: Any, name: str, profiles: dict[str, Role]) -> None:
        self.app, self.user = app, User(name, profiles)

    def __call__(
        self, path: str, form: dict[str, str] | bytes | None = None, accept: str = "text/html", **headers: str
    ) -> Page:
        path, _, query = path.partition("?")
        body = form if isinstance(form, bytes) else urllib.parse.urlencode(form or {}).encode()
        environ = {
            "REQUEST_METHOD": "GET" if form is None else "POST",
            "PATH_INFO": urllib.parse.unquote(path),
            "SCRIPT_NAME": "",
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8001",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8001",
            "HTTP_ACCEPT": accept,
            "CONTENT_TYPE": "application/json" if isinstance(form, bytes) else FORM,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            USER: self.user,
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        got: list[Any] = []
        content = b"".join(self.app(environ, lambda status, headers, exc_info=None: got.append((status, headers))))
        return Page(int(got[-1][0][:3]), {name.lower(): value for name, value in got[-1][1]}, content.decode())


class Deployment:
    """The dashboard of a deployment with the people that its tests name."""

    def __init__(self, folder: Path) -> None:
        self.state, self.service = folder, Service(folder)
        self.client = self.service.start()
        for name in ("team", "other"):
            people.add_profile(folder, name)
        for role, name in NAMES.items():
            people.add(folder, name, {"team": role, "default": role})
        people.add(folder, "stranger", {"other": "admin"})
        transport = Http(f"http://127.0.0.1:{self.service.port}", self.service.key, 5.0)
        store = FolderStore(folder / "models")
        self.orders = Orders(folder / "volumes" / "orders")
        (port,) = free_ports(1)  # JupyterHub does not run here
        servers = Servers(f"http://127.0.0.1:{port}", "http://127.0.0.1:8888", self.service.key, folder)
        sources = Sources(lambda by: Kubeflow(transport, by), folder, store, self.orders, servers)
        self.app = application(Dashboard(sources, LINKS))

    def by(self, name: str) -> Asking:
        return Asking(self.app, name, people.read(self.state).roles(name))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("dashboard"))
    yield made
    made.service.end(signal.SIGTERM)


NUMBERS = itertools.count()


def new(deployment: Deployment, name: str = "", to: int = 1) -> str:
    """Apply an object in the profile team and return its address."""
    name = name or f"made-{next(NUMBERS)}"
    deployment.client.apply(manifest(name, "team", to=to))
    return f"/objects/team/counts/{name}"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def order(namespace: str = "team", **more: Any) -> bytes:
    model = {"url": "https://git.example.com/model.git", "commit": COMMIT}
    data = {"url": "https://git.example.com/data.git", "commit": COMMIT, "path": "sales.csv", "target": "price"}
    return json.dumps({"model": model, "data": data, "namespace": namespace, **more}).encode()


def form_of_order(**more: str) -> dict[str, str]:
    return {
        "key": f"form-{next(NUMBERS)}", "model.url": "https://git.example.com/model.git", "model.commit": COMMIT,
        "data.url": "https://git.example.com/data.git", "data.commit": COMMIT, "data.path": "sales.csv", **more,
    }  # fmt: skip


REQUESTS = {  # action → the request of it in the profile team; None: what other services have
    "objects.see": lambda made: ("/objects/team/counts", None),
    "activity.see": lambda made: ("/activity?profile=team", None),
    "people.see": lambda made: ("/people?profile=team", None),
    "models.see": lambda made: ("/models?profile=team", None),
    "volumes.see": lambda made: ("/volumes?profile=team", None),
    "orders.see": lambda made: ("/orders?profile=team", None),
    "servers.see": lambda made: ("/servers?profile=team", None),
    "orders.place": lambda made: ("/orders?profile=team", form_of_order()),
    "runs.see": lambda made: ("/objects/team/pipelineruns", None),
    "runs.start": lambda made: ("/run?profile=team", {"dataset": "robots"}),
    "runs.stop": lambda made: ("/objects/team/pipelineruns/none/stop", {}),
    "objects.apply": lambda made: ("/apply?profile=team", {"manifests": manifest("applied", "team", to=1).decode()}),
    "objects.delete": lambda made: (f"{new(made)}/delete", {}),
    "objects.act": lambda made: (f"{new(made)}/suspend", {}),
    "models.promote": lambda made: ("/models?profile=team", {"model": "robots", "version": "1"}),
}
ELSEWHERE = {
    "tensorboard.see",
    "servers.start",
    "servers.stop",
}


def test_every_action_of_the_roles_is_walked_here_or_where_it_happens() -> None:
    assert set(REQUESTS) | ELSEWHERE == set(ACTIONS)


@pytest.mark.parametrize("action", REQUESTS)
def test_a_role_may_do_what_the_page_says_and_nothing_else(deployment: Deployment, action: str) -> None:
    table = {row[0]: row[1:] for row in cells(deployment.by("viewer")("/people?profile=team").text)}
    for place, role in enumerate(ROLES):
        path, form = REQUESTS[action](deployment)
        answer = deployment.by(NAMES[role])(path, form)
        assert (answer.status == 403) is not allowed(role, action), (role, answer.text)
        assert (table[action][place] == "yes") is allowed(role, action), "the page says what is true"
        if answer.status == 403:
            assert f"{NAMES[role]} has the role {role} in the profile" in answer.text


@pytest.mark.parametrize("action", REQUESTS)
def test_nobody_reaches_a_profile_without_a_role_there(deployment: Deployment, action: str) -> None:
    path, form = REQUESTS[action](deployment)
    answer = deployment.by("stranger")(path, form)
    assert answer.status == 403 and "has no role in a profile &#39;team&#39;" in answer.text
    missing = deployment.by("stranger")("/activity?profile=nowhere")
    assert missing.status == 403, "as for a profile that does not exist"


@pytest.mark.parametrize("action", ["servers.start", "servers.stop", "tensorboard.see"])
def test_links_lead_to_what_a_role_may_do_there(deployment: Deployment, action: str) -> None:
    address = LINKS[{"servers.start": "Notebooks", "servers.stop": "Servers of others"}.get(action, "TensorBoard")]
    for role in ROLES:
        page = deployment.by(NAMES[role])("/?profile=team").text
        assert (f'href="{address}"' in page) is allowed(role, action), role


def test_an_order_of_a_program_is_placed_once_and_followed(deployment: Deployment) -> None:
    edit = deployment.by("editor")
    first = edit("/orders", order(), "application/json", idempotency_key="one")
    placed = json.loads(first.text)
    assert (first.status, first.headers["location"]) == (201, f"/orders/{placed['id']}")
    assert (placed["by"], placed["state"], placed["name"]) == ("editor", "checking", "sales")
    again = edit("/orders", order(), "application/json", idempotency_key="one")
    assert (again.status, json.loads(again.text)) == (200, placed)
    other = edit("/orders", order(note="changed"), "application/json", idempotency_key="one")
    assert other.status == 409 and "was used for another order" in other.text
    without = edit("/orders", order(), "application/json")
    assert without.status == 422 and "Idempotency-Key is missing" in without.text
    elsewhere = edit("/orders", order("other"), "application/json", idempotency_key="two")
    assert elsewhere.status == 403 and "has no role in a profile" in elsewhere.text
    wrong = edit("/orders", order(params={"seed": "x"}), "application/json", idempotency_key="three")
    assert wrong.status == 422 and "seed must be a whole number" in wrong.text

    seen = deployment.by("viewer")(first.headers["location"], None, "application/json")
    assert json.loads(seen.text) == placed
    listed = deployment.by("viewer")("/orders?profile=team", None, "application/json")
    assert placed["id"] in [each["id"] for each in json.loads(listed.text)["orders"]]
    deployment.orders.save(placed["id"], deployment.orders.record(placed["id"]), state="failed", reason="no <b>route")
    page = deployment.by("viewer")(first.headers["location"]).text
    assert "no &lt;b&gt;route" in page and "http-equiv" not in page


def test_an_order_of_another_profile_does_not_exist_for_others(deployment: Deployment) -> None:
    placed, _ = deployment.orders.place("hidden", "editor", read_order(order()))
    hidden, missing = (deployment.by("stranger")(f"/orders/{id}") for id in (placed.id, "0" * 16))
    assert hidden.status == missing.status == 404
    assert hidden.text.replace(placed.id, "0" * 16) == missing.text


def test_the_form_places_an_order_and_says_what_is_wrong(deployment: Deployment) -> None:
    edit = deployment.by("editor")
    shown = edit("/orders/new?profile=team")
    assert shown.status == 200 and 'name="data.path"' in shown.text
    assert deployment.by("viewer")("/orders/new?profile=team").status == 403
    form = form_of_order(**{"params.seed": "seven", "note": "<for> sales"})
    wrong = edit("/orders?profile=team", form)
    assert wrong.status == 422 and "seed must be a whole number, not &#39;seven&#39;" in wrong.text
    assert 'value="&lt;for&gt; sales"' in wrong.text and 'value="seven"' in wrong.text, "nothing is typed again"
    made = edit("/orders?profile=team", {**form, "params.seed": "7"})
    assert made.status == 303
    twice = edit("/orders?profile=team", {**form, "params.seed": "7"})
    assert twice.headers["location"] == made.headers["location"], "a form that is sent twice orders once"
    rows = cells(edit("/activity?profile=team").text)
    assert ["editor", "ordered", "sales"] in [row[1:] for row in rows]
    page = edit(made.headers["location"])
    assert 'http-equiv="refresh"' in page.text and "by editor" in page.text
    placed = deployment.orders.placed(made.headers["location"].rpartition("/")[2])
    assert (placed.order.params, placed.order.namespace) == ({"seed": 7}, "team")


def test_manifests_cannot_go_to_another_profile(deployment: Deployment) -> None:
    given = manifest("sneaky", "other", to=1).decode()
    answer = deployment.by("owner")("/apply?profile=team", {"manifests": given})
    assert answer.status == 422 and "metadata.namespace" in answer.text
    assert not [each for each in deployment.client.list("counts") if each["metadata"]["name"] == "sneaky"]


def test_who_did_what_is_recorded_and_shown(deployment: Deployment) -> None:
    edit = deployment.by("editor")
    made = edit("/apply?profile=team", {"manifests": manifest("mine", "team", to=1).decode()})
    assert (made.status, made.headers["location"]) == (303, "/objects/team/counts/mine")
    until(lambda: ended(deployment.client.get("counts", "mine", "team")))
    shown = edit("/objects/team/counts/mine")
    assert "by editor" in shown.text and "Succeeded" in shown.text
    assert edit("/objects/team/counts/mine/delete", {}).status == 303
    rows = cells(edit("/activity?profile=team").text)
    mine = [row[1:] for row in rows if row[-1] == "Count mine"]
    assert mine == [["editor", "deleted", "Count mine"], ["editor", "created", "Count mine"]]
    assert edit("/activity?profile=default").text.count("Count mine") == 0, "another profile's page has its own"


def test_the_record_survives_a_kill_and_a_line_that_was_cut_off(deployment: Deployment) -> None:
    new(deployment, "before")
    deployment.service.end(signal.SIGKILL)
    with (deployment.state / "kubeflow" / "activity.jsonl").open("ab") as file:
        file.write(b'{"time": "20')
    deployment.client = deployment.service.start()
    new(deployment, "after")
    new(deployment, "later")
    names = [each["name"] for each in deployment.client.changes("team", 3)]
    assert names[0] == "later" and "before" in names


def test_the_overview_shows_what_runs_and_remains_without_the_service(deployment: Deployment) -> None:
    new(deployment, "shown")
    seen = deployment.by("viewer")("/?profile=team")
    assert seen.status == 200 and "/objects/team/counts/shown" in seen.text
    assert "Begin" not in seen.text, "who may only look gets no buttons to begin"
    edit = deployment.by("editor")("/?profile=team").text
    assert all(f"example={name}" in edit for name in examples()) and "http://127.0.0.1:8888" in edit
    deployment.service.end(signal.SIGTERM)
    try:
        away = deployment.by("viewer")("/?profile=team")
        assert away.status == 200 and "does not answer" in away.text
    finally:
        deployment.client = deployment.service.start()


def test_logs_are_shown_as_text(deployment: Deployment) -> None:
    path = new(deployment, "logged")
    until(lambda: ended(deployment.client.get("counts", "logged", "team")))
    logs = deployment.client.logs("counts", "logged", "team")
    shown = deployment.by("viewer")(f"{path}?log={urllib.parse.quote(logs[0]['name'], safe='')}")
    assert shown.status == 200 and "<pre>" in shown.text
    assert deployment.by("viewer")(f"{path}?log=..%2F..%2Fpasswd").status == 404


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/objects/team/counts/missing", None, 404),
        ("/objects/team/pods", None, 404),
        ("/objects/team/counts/missing/delete", {}, 404),
        ("/objects/team/counts/missing/delete", None, 405),
        ("/apply?profile=team", {"manifests": "kind: ["}, 422),
        ("/apply?profile=team", {"manifests": ""}, 422),
        ("/apply?profile=team", {"manifests": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}"}, 422),
        ("/models?profile=team", {"model": "../x", "version": "1"}, 422),
        ("/models?profile=team", {"model": "robots", "version": "99"}, 422),
        ("/%00", None, 404),
        ("/orders/0123456789abcdef", None, 404),
        ("/orders/../x", None, 404),
        ("/orders/new", {"key": "a"}, 405),
        ("/orders?profile=team", {"key": "a"}, 422),
        ("/orders", b"{", 422),
        ("/orders", b"[" * 100_000, 422),
        ("/run?profile=team", {}, 422),
        ("/run?profile=team", {"dataset": "robots", "params.folds": "1"}, 422),
        ("/objects", None, 404),
    ],
)
def test_bad_requests_get_a_sentence(
    deployment: Deployment, path: str, form: dict[str, str] | bytes | None, status: int
) -> None:
    for accept in ("text/html", "application/json"):
        answer = deployment.by("owner")(path, form, accept)
        assert answer.status == status and "Traceback" not in answer.text
        assert "script" not in answer.headers["content-security-policy"]


def test_texts_of_users_are_not_markup(deployment: Deployment) -> None:
    given = manifest("marked", "team", to=1).decode() + "# <script>alert(1)</script>"
    answer = deployment.by("editor")(
        "/apply?profile=team", {"manifests": given.replace("kind: Count", "kind: <b>Count")}
    )
    assert answer.status == 422
    assert "<script>" not in answer.text and "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


@pytest.mark.parametrize("name", examples())
def test_examples_are_manifests_of_kinds_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_ENVIRONMENT", sys.prefix)

    given = yaml.safe_load(examples()[name])
    assert (
        load()[given["kind"]].check({**given, "metadata": {"namespace": "default", **given["metadata"]}}, None) is None
    )


def test_an_administrator_sees_every_profile() -> None:
    assert User("admin", {EVERY: "admin"}).may("models.promote", "team")


def cells(page: str) -> list[list[str]]:
    """Return the texts of each table's rows."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.S)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in found]
