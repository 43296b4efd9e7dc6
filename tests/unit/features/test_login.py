"""The login in front of Feast's own apps and of the API covers every request, and reads its secret from a file."""

import base64
from pathlib import Path
from typing import Any

import pytest

from pantheon.features.login import Guarded, answer
from tests.support.asgi import call

SECRET = "correct horse"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 200, scope["path"].encode(), "text/plain")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    return file


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_a_user_with_the_password_passes(secret: Path) -> None:
    guarded = Guarded(app, secret, "feast")
    for headers in (
        basic("feast", SECRET),
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": f"bearer {SECRET}"},
    ):
        assert call(guarded, "GET", "/static/x.js", headers=headers).body == b"/static/x.js"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("feast", "wrong"),
        basic("feast", ""),
        basic("other", SECRET),
        basic("", SECRET),
        {"Authorization": f"Bearer {SECRET}x"},
        {"Authorization": "Bearer"},
        {"Authorization": SECRET},
        {"Authorization": f"Digest {SECRET}"},
        {"Authorization": "Basic not base64!"},
        {"Authorization": "Bearer \u00e9\u00df"},
    ],
)
def test_every_other_request_is_refused(secret: Path, headers: dict[str, str]) -> None:
    for path in ("/", "/health", "/static/main.js", "/api/v1/entities", "/docs"):
        refused = call(Guarded(app, secret, "feast"), "GET", path, headers=headers)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert "status" in refused.json["error"]["cure"]


def test_without_a_user_only_the_key_passes_and_open_paths_need_none(secret: Path) -> None:
    guarded = Guarded(app, secret, open_paths=("/healthz",))
    assert call(guarded, "GET", "/healthz").status == 200
    assert call(guarded, "GET", "/healthz/").status == 401
    assert call(guarded, "GET", "/views", headers=basic("feast", SECRET)).status == 401
    assert call(guarded, "GET", "/views", headers={"Authorization": f"Bearer {SECRET}"}).status == 200


def test_a_replaced_password_counts_at_once_and_a_missing_or_empty_one_lets_nobody_in(secret: Path) -> None:
    guarded = Guarded(app, secret, "feast")
    secret.write_text("new")
    assert call(guarded, "GET", "/", headers=basic("feast", SECRET)).status == 401
    assert call(guarded, "GET", "/", headers=basic("feast", "new")).status == 200
    secret.write_text("")
    assert call(guarded, "GET", "/", headers=basic("feast", "")).status == 401
    assert call(guarded, "GET", "/", headers={"Authorization": "Bearer "}).status == 401
    secret.unlink()
    assert call(guarded, "GET", "/", headers=basic("feast", "new")).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_change_nothing_with_the_password_that_a_browser_remembers(
    secret: Path, headers: dict[str, str]
) -> None:
    guarded, own = Guarded(app, secret, "feast"), {"Host": "127.0.0.1:6567", **basic("feast", SECRET)}
    assert call(guarded, "POST", "/api/v1/push", headers=own | headers).status == 403
    assert call(guarded, "GET", "/", headers=own | headers).status == 200, "a link from another site opens it"
    assert call(guarded, "POST", "/api/v1/push", headers=own | {"Origin": "http://127.0.0.1:6567"}).status == 200


def test_websockets_are_closed(secret: Path) -> None:
    assert (
        call(Guarded(app, secret, "feast"), "GET", "/ws/chat", headers=basic("feast", SECRET), type="websocket").status
        == 1008
    )
