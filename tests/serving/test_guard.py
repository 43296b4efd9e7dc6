"""No other page can press the button: Host against DNS rebinding, Origin and Sec-Fetch-Site against other sites."""

import pytest

from serving.guard import Guard
from tests.serving.service import Client

ROUTES = [
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/static/page.css"),
    ("GET", "/nowhere"),
    ("POST", "/predict"),
    ("POST", "/press"),
    ("POST", "/approve"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "localhost.evil.example:{port}", ""]
)
def test_another_host_is_refused_everywhere(robots: Client, method: str, path: str, host: str) -> None:
    answer = robots(method, path, Host=host.format(port=robots.port))
    assert answer.status == 403
    assert "not to that Host" in answer.error["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_its_own_names_are_answered(robots: Client, host: str) -> None:
    assert robots.get("/healthz", Host=host.format(port=robots.port)).status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "null", "http://127.0.0.1", "https://localhost:{port}"]
)
def test_a_page_of_another_origin_is_refused_everywhere(robots: Client, method: str, path: str, origin: str) -> None:
    answer = robots(method, path, Origin=origin.format(port=robots.port))
    assert answer.status == 403
    assert "another site" in answer.error["message"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_so_is_refused_without_an_origin(robots: Client, site: str) -> None:
    assert robots.form("/press", "in%3Arobot-age=5", Sec_Fetch_Site=site).status == 403
    assert robots.get("/", Sec_Fetch_Site=site).status == 200  # following a link here is fine


def test_its_own_page_and_programs_are_answered(robots: Client) -> None:
    row = {"payload": [{"robot-age": 5}]}
    assert robots.post("/predict", row).status == 200
    assert (
        robots.post("/predict", row, Origin=f"http://localhost:{robots.port}", Sec_Fetch_Site="same-origin").status
        == 200
    )


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/page.js", "/nowhere", "/plots/1/roc.svg"])
def test_every_answer_is_fenced(robots: Client, path: str) -> None:
    headers = robots.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers


def test_further_names_can_be_allowed() -> None:
    guard = Guard(lambda *_: [], 8080, ["button.example:8080"])
    allowed = {
        "HTTP_HOST": "button.example:8080",
        "REQUEST_METHOD": "POST",
        "HTTP_ORIGIN": "http://button.example:8080",
    }
    assert guard.refusal(allowed) == ""
    assert guard.refusal({**allowed, "HTTP_HOST": "other.example:8080"})
