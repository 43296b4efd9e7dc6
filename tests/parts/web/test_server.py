"""The HTTP server: what slow, broken and hostile clients get, and that others do not notice them."""

import contextlib
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pantheon.web import server as http
from pantheon.web.granian import more_files
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request, Server
from tests.support import ROOT

LIMIT = 4 * 1024 * 1024
POOL = ThreadPoolExecutor(1)


class Echo:
    """Answers with the body it got; ``/drop`` reads none, ``/big`` is 8 MB, ``/slow`` takes half a second."""

    async def __call__(self, request: Request) -> Response:
        import asyncio

        if request.path == "/drop":
            return self.refuse(403, "refused unread")
        if request.path == "/big":
            return Response(200, b"x" * 8_000_000)
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        if request.path == "/fault":
            raise KeyError("a bug")
        return Response(200, await request.body(LIMIT))

    def quick(self, request: Request) -> Quick | None:
        if request.path == "/quick-fault":
            return lambda body: Response(200, b"%d" % (1 // 0))
        if request.path == "/later":
            return lambda body: POOL.submit(Response, 200, body[::-1])
        if request.path == "/later-fault":
            return lambda body: POOL.submit(int, body)  # type: ignore[return-value]
        return (lambda body: Response(200, body)) if request.path == "/quick" else None

    def refuse(self, status: int, message: str) -> Response:
        return Response(status, json.dumps({"error": message}).encode(), [("content-type", "application/json")])


@contextlib.contextmanager
def serving() -> Iterator[tuple[Server, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server, ready = Server("127.0.0.1", port, Echo()), threading.Event()
    server.prepare()
    thread = threading.Thread(target=server.run, args=(ready.set,), kwargs={"signals": False}, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield server, port
    finally:
        server.stop()
        thread.join(http.DRAIN_SECONDS + 5)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as (_, port):
        yield port


def raw(port: int, data: bytes, seconds: float = 20) -> bytes:
    """Everything that comes back until the server closes; it may close before all is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
        return received


def median_of_a_request(port: int, count: int = 200) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", "/", b"{}")
        assert connection.getresponse().read() == b"{}"
        times.append(time.perf_counter() - began)
    connection.close()
    return statistics.median(times)


def test_it_answers_and_keeps_the_connection(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    opened = connection.sock
    for _ in range(3):
        connection.request("POST", "/", b"hello")
        assert connection.sock is opened
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.getheader("server")) == (200, b"hello", "pantheon")
    connection.close()


def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    said = raw(port, b"".join(one + b"\r\n%d" % i for i in range(9)) + one + b"Connection: close\r\n\r\n9")
    answers = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [answer[-1:] for answer in answers] == [b"%d" % i for i in range(10)]


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("size", [b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, b"GET /" + b"a" * 200_000 + b" HTTP/1.1"])
def test_a_head_that_is_too_large_is_refused(port: int, size: bytes) -> None:
    assert raw(port, size + b"\r\n\r\n")[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 414", b"")


@pytest.mark.parametrize("path", ["/", "/drop"])
def test_a_body_of_50_mb_is_refused_without_being_kept_and_the_client_gets_the_answer(port: int, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    began = time.monotonic()
    connection.request("POST", path, b" " * 50_000_000)
    answer = connection.getresponse()
    assert answer.status == (413 if path == "/" else 403)
    assert answer.getheader("connection") == "close"
    assert time.monotonic() - began < 15
    assert json.loads(answer.read())["error"]
    connection.close()


def test_a_slow_body_gets_408_and_a_slow_head_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http, "LINGER_SECONDS", 0.2)
    with serving() as (server, port):
        assert raw(port, HEAD + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
        assert raw(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab").startswith(b"HTTP/1.1 408 ")
        assert raw(port, b"POST / HT", seconds=5) == b""
        assert raw(port, HEAD + b"Content-Length: 2\r\n\r\n{}", seconds=5).endswith(b"{}")  # then idle
        assert not server.waits
        assert not server.budget.held


@pytest.mark.parametrize(
    "kind",
    [b"", b"POST / HTTP/1.1\r\nHos", HEAD + b"Content-Length: 1000\r\n\r\n{", HEAD + b"Expect: 100-continue\r\n"],
)
def test_a_thousand_idle_or_slow_connections_cost_others_nothing(port: int, kind: bytes) -> None:
    before = median_of_a_request(port)
    more_files(4096)
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
    try:
        for connection in slow:
            connection.sendall(kind)
        with_them = median_of_a_request(port)
    finally:
        for connection in slow:
            connection.close()
    assert with_them < before * 3 + 0.001, (before, with_them)


@pytest.mark.parametrize("head", [b"POST / HTTP/1.1\r\nX: ", HEAD + b"Content-Length: 9000\r\n\r\n"])
def test_a_thousand_clients_that_send_byte_by_byte_cost_others_nothing(port: int, head: bytes) -> None:
    before = median_of_a_request(port)
    more_files(4096)
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
    ended = threading.Event()

    def send() -> None:
        for connection in slow:
            connection.sendall(head)
        while not ended.wait(0.5):
            for connection in slow:
                connection.sendall(b"a")

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with_them = max(median_of_a_request(port, 500) for _ in range(3))
    finally:
        ended.set()
        sending.join()
        for connection in slow:
            connection.close()
    assert with_them < before * 3 + 0.001, (before, with_them)


def test_a_body_of_too_many_chunks_is_refused(port: int) -> None:
    chunks = b"1\r\nx\r\n" * (http.CHUNKS + 1)
    said = raw(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")


def test_large_bodies_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODIES_BYTES", 1_000_000)
    monkeypatch.setattr(http, "BODY_SECONDS", 1.0)
    with serving() as (server, port):
        head = HEAD + b"Connection: close\r\nContent-Length: 900000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(head + b"x")
            time.sleep(0.2)
            monkeypatch.setattr(http, "BODY_SECONDS", 0.2)
            assert raw(port, head + b"x" * 900_000).startswith(b"HTTP/1.1 503 ")
            monkeypatch.setattr(http, "BODY_SECONDS", 5.0)
            assert raw(port, head + b"x" * 900_000).startswith(b"HTTP/1.1 200 ")  # the first has had its time
        assert not server.budget.held


def test_a_client_that_does_not_read_its_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WRITE_SECONDS", 1.0)
    with serving() as (_, port), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(6)
        with pytest.raises(ConnectionError):
            while deaf.recv(1 << 20):
                pass
            raise AssertionError("all of it was still there")


def test_a_fault_of_the_application_is_500_and_the_next_request_is_answered(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    said = raw(port, b"GET /fault HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert "a bug" in capsys.readouterr().err
    assert median_of_a_request(port, 1) > 0


def test_small_requests_are_answered_without_the_loop_with_the_same_care(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    head = b"POST /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    assert raw(port, head + b"Content-Length: 2\r\n\r\nhi").endswith(b"\r\n\r\nhi")
    assert raw(port, head + b"Host: y\r\nContent-Length: 2\r\n\r\nhi").startswith(b"HTTP/1.1 400 ")
    large = b"x" * (http.QUICK_BYTES + 1)
    assert raw(port, head + b"Content-Length: %d\r\n\r\n" % len(large) + large).endswith(large)
    assert raw(port, head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").endswith(b"\r\n\r\nhi")
    said = raw(port, head.replace(b"/quick", b"/quick-fault") + b"Content-Length: 2\r\n\r\nhi")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert "Traceback" in capsys.readouterr().err
    later = head.replace(b"/quick", b"/later")
    assert raw(port, later + b"Content-Length: 2\r\n\r\nhi").endswith(b"\r\n\r\nih")
    assert raw(port, later + b"Content-Length: %d\r\n\r\n" % len(large) + large).endswith(large)
    fault = head.replace(b"/quick", b"/later-fault")
    assert raw(port, fault + b"Content-Length: 2\r\n\r\nhi").startswith(b"HTTP/1.1 500 ")


def test_a_slow_small_body_gets_408_and_one_that_ends_early_400(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.3)
    with serving() as (server, port):
        head = b"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
        assert raw(port, head).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
        assert not server.waits


def test_a_port_in_use_is_an_error(port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", port, Echo()).prepare()


def test_stopping_finishes_requests_in_progress_and_refuses_new_ones() -> None:
    with serving() as (server, port):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/slow", b"begun")
        idle = HTTPConnection("127.0.0.1", port, timeout=10)
        idle.request("POST", "/", b"x")
        idle.getresponse().read()
        time.sleep(0.1)
        server.stop()
        time.sleep(0.1)
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        assert connection.getresponse().read() == b"begun"


def test_as_a_process_it_ends_by_sigterm(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        "from pantheon.web.granian import leave; from pantheon.web.server import Server; "
        "from tests.parts.web.test_server import Echo; "
        f"s = Server('127.0.0.1', {port}, Echo()); s.prepare(); "
        "s.run(lambda: print('ready', flush=True)); print('end'); leave(0)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - began < 8
    assert process.stdout.read() == "end\n"
