"""The login in front of a service: what it answers before it asks JupyterHub."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pantheon.hub import oauth
from pantheon.hub.session import Hub, User
from pantheon.web import tokens

SECRET = "the secret of the service"
PAGE = {"HTTP_ACCEPT": "text/html", "HTTP_HOST": "127.0.0.1:6006"}


@pytest.fixture
def login(tmp_path: Path) -> oauth.Login:
    (tmp_path / "secret").write_text(SECRET)
    hub = Hub("http://hub:8889", "http://127.0.0.1:8888", "board", "http://127.0.0.1:6006/oauth_callback")
    return oauth.Login(lambda *_: [b"the application"], hub, 6006, tmp_path / "secret", "The board")


def ask(login: oauth.Login, path: str = "/", method: str = "GET", **given: str) -> tuple[int, dict[str, str], str]:
    answered: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answered.update(status=int(status.split()[0]), headers=dict(headers))

    path, _, query = path.partition("?")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **PAGE, **given}
    body: Iterable[bytes] = login(environ, start_response)
    return answered["status"], answered["headers"], b"".join(body).decode()


def test_a_page_leads_to_the_login_and_the_state_belongs_to_the_browser(login: oauth.Login) -> None:
    status, headers, _ = ask(login, "/team/?run=1")
    assert status == 302
    assert headers["Location"].startswith("http://127.0.0.1:8888/hub/api/oauth2/authorize?client_id=service-board&")
    state = headers["Location"].partition("&state=")[2].partition("&")[0]
    assert tokens.check(SECRET, "state", state)
    assert not tokens.check(SECRET, "session", state), "a state is no session"
    name, _, value = headers["Set-Cookie"].partition(";")[0].partition("=")
    assert value.partition(".")[0] == state
    assert name != login.state_cookie(tokens.sign(SECRET, "state", 60)), "every login has a cookie of its own"
    assert "HttpOnly" in headers["Set-Cookie"]
    assert login.verifier(state) not in f"{headers}"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/team/?run=1&tag=a%2Fb", "/team/?run=1&tag=a%2Fb"),
        ("//example.com/", "/"),
        ("/\\example.com/", "/%5Cexample.com/"),
        ("/a b", "/a%20b"),
        ("/\u00c3\u00bc", "/%C3%BC"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_the_way_back_stays_on_this_server(login: oauth.Login, path: str, kept: str) -> None:
    _, headers, _ = ask(login, path)
    value = headers["Set-Cookie"].partition(";")[0].partition(".")[2]
    assert base64.urlsafe_b64decode(value).decode() == kept
    assert oauth.path_of(value) == kept


@pytest.mark.parametrize("kept", ["https://example.com", "//example.com", "/\\example.com", "/a\r\nSet-Cookie: x", "é"])
def test_a_planted_way_back_is_not_followed(kept: str) -> None:
    assert oauth.path_of(base64.urlsafe_b64encode(kept.encode()).decode()) == "/"
    assert oauth.path_of("no base64 é") == "/"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"HTTP_HOST": "evil.example"}, 403),
        ({"HTTP_HOST": "127.0.0.1:8888"}, 403),
        ({"HTTP_HOST": ""}, 403),
        ({"HTTP_HOST": "localhost:6006"}, 302),
        ({"HTTP_ACCEPT": "application/json"}, 401),
        ({"HTTP_SEC_FETCH_MODE": "cors"}, 401),
        ({"method": "POST"}, 403),
        ({"method": "POST", "HTTP_ORIGIN": "http://127.0.0.1:8888"}, 403),
        ({"method": "POST", "HTTP_ORIGIN": "http://127.0.0.1:6006", "HTTP_SEC_FETCH_SITE": "same-site"}, 403),
        ({"method": "POST", "HTTP_ORIGIN": "http://127.0.0.1:6006"}, 401),
        ({"method": "DELETE"}, 403),
        ({"HTTP_COOKIE": "pantheon-board-6006=é; ;=;x"}, 302),
        ({"HTTP_COOKIE": "pantheon-board-6006=" + "A" * 32}, 302),
    ],
)
def test_who_is_not_logged_in_does_not_reach_the_application(
    login: oauth.Login, given: dict[str, str], status: int
) -> None:
    found, headers, body = ask(login, **given)
    assert found == status
    assert "the application" not in body
    assert headers["Cache-Control"] == "no-store"
    if status == 302:
        assert headers["Location"].startswith(("http://127.0.0.1:8888/hub/", "http://127.0.0.1:6006/"))


def test_a_session_of_another_service_and_an_expired_one_are_none(login: oauth.Login) -> None:
    for value in (tokens.sign("another secret", "session", 60), tokens.sign(SECRET, "session", -1)):
        assert ask(login, HTTP_COOKIE=f"{login.cookie}={value}", HTTP_ACCEPT="application/json")[0] == 401


def test_errors_are_pages_without_markup_of_the_request(login: oauth.Login) -> None:
    status, headers, body = ask(login, "/oauth_callback?state=<script>&code=<script>&error=<script>")
    assert status == 400
    assert "<script>" not in body
    assert "did not begin in this browser" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_user_may_what_the_role_in_that_profile_allows() -> None:
    user = User("ann", {"team": "edit", "*": "view"})
    assert user.may("orders.place", "team")
    assert not user.may("orders.place", "default")
    assert user.may("runs.see", "other")
    assert not User("bob", {"team": "admin"}).may("runs.see")
