"""Which requests the front end answers, and the headers of its answers."""

from collections.abc import Iterable
from typing import Any

import pytest

from serving.frontend.guard import Guard


def inner(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def ask(guard: Guard, method: str = "GET", **headers: str) -> tuple[str, dict[str, str]]:
    said: list[Any] = []
    environ = {"REQUEST_METHOD": method, **{f"HTTP_{name.upper()}": value for name, value in headers.items()}}
    guard(environ, lambda status, headers, *_: said.extend((status, dict(headers))))
    return said[0][:3], said[1]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000"])
def test_this_machine_is_answered_with_a_strict_policy(host: str) -> None:
    status, headers = ask(Guard(inner, 8000), host=host, origin=f"http://{host}")
    assert status == "200"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["", "evil.example:8000", "localhost", "localhost:8001"])
def test_other_names_are_not(host: str) -> None:
    status, headers = ask(Guard(inner, 8000), host=host)
    assert status == "403"
    assert "Content-Security-Policy" in headers


def test_pages_of_other_sites_and_of_other_ports_change_nothing() -> None:
    guard = Guard(inner, 8000)
    assert ask(guard, "POST", host="localhost:8000", origin="http://evil.example")[0] == "403"
    assert ask(guard, "POST", host="localhost:8000", origin="http://localhost:8888")[0] == "403"
    assert ask(guard, "POST", host="localhost:8000", origin="null")[0] == "403"
    assert ask(guard, "POST", host="localhost:8000", sec_fetch_site="same-site")[0] == "403"
    assert ask(guard, "POST", host="localhost:8000", sec_fetch_site="same-origin")[0] == "200"
    assert ask(guard, "GET", host="localhost:8000", sec_fetch_site="cross-site")[0] == "200", "a link"


def test_a_public_address_is_allowed_besides() -> None:
    guard = Guard(inner, 8000, "https://Robots.example.com/")
    assert ask(guard, "POST", host="robots.example.com", origin="https://robots.example.com")[0] == "200"
    assert ask(guard, "POST", host="robots.example.com", origin="http://robots.example.com")[0] == "403"
    assert ask(guard, host="localhost:8000")[0] == "200"
