"""Pages of other sites cannot send predictions: checks of Host (DNS rebinding), Origin and Sec-Fetch-Site."""

import pytest

from serving.endpoint.guard import Guard
from tests.support.button import Client

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
def test_other_hosts_are_rejected_everywhere(robots: Client, method: str, path: str, host: str) -> None:
    answer = robots(method, path, Host=host.format(port=robots.port))
    assert answer.status == 403
    assert "only accepts the hosts" in answer.error["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_its_own_host_names_are_accepted(robots: Client, host: str) -> None:
    assert robots.get("/healthz", Host=host.format(port=robots.port)).status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "null", "http://127.0.0.1", "https://localhost:{port}"]
)
def test_pages_of_other_origins_are_rejected_everywhere(robots: Client, method: str, path: str, origin: str) -> None:
    answer = robots(method, path, Origin=origin.format(port=robots.port))
    assert answer.status == 403
    assert "another site" in answer.error["message"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_cross_site_requests_without_an_origin_are_rejected(robots: Client, site: str) -> None:
    assert robots.form("/press", "in%3Arobot-age=5", Sec_Fetch_Site=site).status == 403
    assert robots.get("/", Sec_Fetch_Site=site).status == 200  # following a link here is fine


def test_its_own_page_and_programs_are_accepted(robots: Client) -> None:
    row = {"payload": [{"robot-age": 5}]}
    assert robots.post("/predict", row).status == 200
    assert (
        robots.post("/predict", row, Origin=f"http://localhost:{robots.port}", Sec_Fetch_Site="same-origin").status
        == 200
    )


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/page.js", "/nowhere", "/plots/1/roc.svg"])
def test_every_answer_has_the_security_headers(robots: Client, path: str) -> None:
    headers = robots.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers


def test_additional_host_names_can_be_allowed() -> None:
    guard = Guard(8080, ["button.example:8080"])
    assert guard.hosts >= {"button.example:8080", "localhost:8080"}
    assert guard.origins >= {"http://button.example:8080", "https://button.example:8080"}  # behind a proxy with TLS
    assert "https://localhost:8080" not in guard.origins
    assert "http://other.example:8080" not in guard.origins


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/questions", "/signature", "/openapi.json", "/runs.json", "/parts/questions", "/plots/", "/no"],
)
@pytest.mark.parametrize("query", ["at=1&at=2", "at=1&%61t=2", "at=1;at=1", "at&at", "version=1&version=2&file=a.svg"])
def test_a_query_with_a_parameter_twice_is_rejected_everywhere(robots: Client, path: str, query: str) -> None:
    answer = robots.get(f"{path}?{query}")
    assert answer.status == 400
    assert "more than once" in answer.error["message"]


def test_a_prediction_with_a_parameter_twice_is_rejected(robots: Client) -> None:
    assert robots.predict({"robot-age": 5}, query="?probabilities=0&probabilities=1").status == 400


def test_headers_that_are_not_ascii_do_not_count_as_missing(robots: Client) -> None:
    for extra in (b"Origin: http://\xe9vil.example", b"Sec-Fetch-Site: cross-site\xe9"):
        head = f"POST /press HTTP/1.1\r\nHost: localhost:{robots.port}\r\nContent-Length: 0\r\n".encode()
        said = robots.raw(head + extra + b"\r\nConnection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 403 "), said
    said = robots.raw(b"GET / HTTP/1.1\r\nHost: localhost\xe9\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 403 "), said
