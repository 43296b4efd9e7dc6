"""Every answer is JSON and errors name the problem; requests without the token are rejected."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.dataflow import TOKEN, Client, Service

ID = "20260131-142500-0a1b"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    state = tmp_path_factory.mktemp("requests")
    spec = (ROOT / "datasets" / "robots.toml").read_text()
    Run.ensure(state, ID, spec, "robots", Params(trials=2))
    service = Service(state)
    yield service.start()
    assert service.end(15) == 0
    assert "Traceback" not in service.output
    assert not list((state / "runs" / ID).glob("stages/*")), "nothing was started"


@pytest.mark.parametrize(
    "header",
    ["", TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xe9\xff"],
)
@pytest.mark.parametrize("path", [f"/runs/{ID}", f"/runs/{ID}/continue", "/runs/nothing", "/", "/anything"])
def test_requests_without_the_token_are_rejected(client: Client, path: str, header: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = client(method, path, Authorization=header)
        assert answer.status == 401
        assert answer.json == {"error": "This request requires a token: Authorization: Bearer TOKEN."}
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_health_check_requires_no_token(client: Client) -> None:
    assert client("GET", "/healthz", Authorization="").json == {"status": "ok", "running": 0, "waiting": 0}
    assert client("POST", "/healthz").status == 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/runs/{ID}", 200),
        ("GET", "/runs/20260131-142500-0a1c", 404),
        ("GET", "/runs/latest", 404),
        ("GET", "/runs/", 404),
        ("GET", "/runs", 404),
        ("GET", "/runs/..", 404),
        ("GET", f"/runs/%2e%2e%2fruns%2f{ID}", 404),
        ("GET", f"/runs/{ID}/", 404),
        ("GET", f"/runs/{ID}%00", 404),
        ("GET", f"/runs/{ID}/continue", 405),
        ("POST", f"/runs/{ID}", 405),
        ("PUT", f"/runs/{ID}/continue", 405),
        ("POST", f"/runs/{ID}/stop", 404),
        ("POST", f"/runs/{ID}/continue/", 404),
        ("POST", "/runs/20260131-142500-0a1c/continue", 404),
        ("POST", "/", 404),
        ("GET", "/", 404),
    ],
)
def test_status_of_existing_and_missing_addresses(client: Client, method: str, path: str, status: int) -> None:
    answer = client(method, path)
    assert answer.status == status
    assert status == 200 or isinstance(answer.json["error"], str)
    assert status != 405 or answer.headers["allow"]


def test_a_body_is_ignored_and_a_large_one_is_rejected(client: Client) -> None:
    path = f"/runs/{ID}"
    assert client("GET", path, b"x" * 65536).status == 200
    assert client("GET", path, b"x" * 65537).status == 413
    assert client("GET", path, iter([b"y" * 60000] * 300)).status == 413  # chunked
    assert client("GET", path, b"", **{"Content-Length": "many"}).status == 400


texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get", "x-1"])
ids = st.sampled_from(
    [ID, ID.upper(), "20260131-142500-0a1", "..", "%2e%2e", "", "%00", "%ff", "\N{LATIN SMALL LETTER E}"]
)
paths = st.one_of(
    texts.map(lambda text: f"/{text}"),
    st.builds(
        lambda name, rest: f"/runs/{name}{rest}", ids | texts, st.sampled_from(["", "/", "/stop", "?a=b"]) | texts
    ),
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, blacklist_characters="\x7f"), max_size=40)
headers = st.dictionaries(st.sampled_from(["Accept", "Expect", "Range", "X-Any", "Host", "Content-Type"]), values)
tokens = st.just(f"Bearer {TOKEN}") | values
lengths = st.none() | st.sampled_from(["-1", "1e3", "", "18446744073709551617", "0x10"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(methods, paths, headers, tokens, st.binary(max_size=200), lengths)
@example("GET", "//[", {}, f"Bearer {TOKEN}", b"", None)  # urllib raises an exception for it
def test_any_request_has_an_answer(
    client: Client, method: str, path: str, more: dict[str, str], token: str, body: bytes, length: str | None
) -> None:
    if path.endswith("/continue") and method == "POST":
        return  # it would start a run; tested in test_service
    sent = {**more, "Authorization": token, "Content-Length": str(len(body)) if length is None else length}
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in more, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value.strip().encode("latin-1"))
        connection.endheaders(body if length is None else None)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status == 400 and answer.getheader("server") is None:  # hyper rejects it before it reaches the service
        return
    judge(method, answer.status, answer.getheader("content-type", ""), data)
    if token.strip() != f"Bearer {TOKEN}" and path.partition("?")[0] != "/healthz":
        assert answer.status >= 400


def judge(method: str, status: int, kind: str, data: bytes) -> None:
    assert 200 <= status < 300 or 400 <= status < 500 or status == 501
    assert kind == "application/json"
    if method != "HEAD":
        content: dict[str, Any] = json.loads(data)
        assert status < 300 or (isinstance(content["error"], str) and content["error"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=300))
def test_bytes_that_are_not_a_request_do_not_disturb_the_service(client: Client, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1][:1] == b"4" or head.split()[1] == b"505", head
        assert not body or json.loads(body)["error"]
    assert client("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    ("missing", "message"), [("STATE_DIR", "STATE_DIR does not name"), ("SECRETS_DIR", "dataflow_token does not exist")]
)
def test_it_does_not_start_without_its_settings(tmp_path: Path, missing: str, message: str) -> None:
    given = {"STATE_DIR": str(tmp_path), "SECRETS_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "DATAFLOW_PORT": "1"}
    del given[missing]
    command = [sys.executable, "-P", "-m", "pantheon.dataflow"]
    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_token_grants_no_access(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (tmp_path / "secrets" / "dataflow_token").write_text("\n")
    client = service.start()
    assert client("GET", "/runs/x", Authorization="Bearer ").status == 401
    (tmp_path / "secrets" / "dataflow_token").unlink()
    assert client("GET", "/runs/x").status == 503
    assert service.end(15) == 0
