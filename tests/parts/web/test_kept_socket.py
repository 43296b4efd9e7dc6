"""A socket that outlives its servers: none of its clients is refused, and none loses a request when a server stops."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from pantheon.web import sockets
from pantheon.web.messages import Response
from pantheon.web.server import Request, Server
from tests.support.waiting import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Named:
    """Answers with its name; an error until ``healthy`` is set."""

    def __init__(self, name: str, healthy: bool = True) -> None:
        self.name, self.healthy = name, healthy

    async def __call__(self, request: Request) -> Response:
        return Response(200 if self.healthy else 503, self.name.encode())

    def quick(self, request: Request) -> None:
        pass

    def refuse(self, status: int, message: str) -> Response:
        return Response(status, message.encode())


@pytest.fixture
def kept() -> Iterator[socket.socket]:
    with sockets.bound("127.0.0.1", 0) as made:
        yield made


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def prepared(app: Named, kept: socket.socket, private: socket.socket | None = None) -> Server:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sockets.SOCKET, str(os.dup(kept.fileno())))
        if private:
            patch.setenv(sockets.CHECKS, str(os.dup(private.fileno())))
        server = Server("127.0.0.1", port_of(kept), app)
        server.prepare()
        assert sockets.SOCKET not in os.environ, "processes that a service starts must not take the socket"
    return server


@contextlib.contextmanager
def running(server: Server, wait: bool = True) -> Iterator[threading.Thread]:
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), kwargs={"signals": False})
    thread.start()
    assert not wait or ready.wait(60)
    try:
        yield thread
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def said(listening: socket.socket) -> tuple[int, bytes]:
    client = HTTPConnection("127.0.0.1", port_of(listening), timeout=10)
    with contextlib.closing(client):
        client.request("GET", "/")
        answer = client.getresponse()
        return answer.status, answer.read()


def test_a_client_that_connects_while_no_server_runs_is_answered_by_the_next_one(kept: socket.socket) -> None:
    with running(prepared(Named("old"), kept)):
        assert said(kept) == (200, b"old")
    with socket.create_connection(("127.0.0.1", port_of(kept)), timeout=10) as client:
        client.sendall(REQUEST)
        with running(prepared(Named("new"), kept)):
            assert client.recv(1000).endswith(b"new")


def test_a_stopping_server_answers_kept_alive_clients_once_more_and_accepts_no_new_ones(kept: socket.socket) -> None:
    old = prepared(Named("old"), kept)
    with running(old) as thread, contextlib.closing(HTTPConnection("127.0.0.1", port_of(kept), timeout=10)) as client:
        client.request("GET", "/")
        assert client.getresponse().read() == b"old"
        old.stop()
        until(lambda: old._leaving)
        with socket.create_connection(("127.0.0.1", port_of(kept)), timeout=10) as late:
            late.sendall(REQUEST)
            client.request("GET", "/")
            answer = client.getresponse()
            assert (answer.read(), answer.getheader("connection")) == (b"old", "close")
            thread.join(60)
            with running(prepared(Named("new"), kept)):
                assert late.recv(1000).endswith(b"new")


def test_idle_connections_delay_a_stop_by_a_second_at_most(kept: socket.socket) -> None:
    server = prepared(Named("old"), kept)
    with running(server) as thread, socket.create_connection(("127.0.0.1", port_of(kept))):
        until(lambda: sockets.clients(port_of(kept)) == 1)
        server.stop()
        thread.join(sockets.QUIET_SECONDS + 2)
        assert not thread.is_alive()


def test_a_replacement_accepts_no_client_before_it_is_healthy(kept: socket.socket) -> None:
    app = Named("new", healthy=False)
    with sockets.bound("127.0.0.1", 0) as private:
        server = prepared(app, kept, private)
        with (
            running(server, wait=False),
            socket.create_connection(("127.0.0.1", port_of(kept)), timeout=0.3) as client,
        ):
            client.sendall(REQUEST)
            assert said(private) == (503, b"new")
            with pytest.raises(TimeoutError):
                client.recv(1)
            app.healthy = True
            assert said(private) == (200, b"new")
            client.settimeout(10)
            assert client.recv(1000).endswith(b"new")


def test_a_health_check_whose_client_gave_up_can_be_repeated(kept: socket.socket) -> None:
    with sockets.bound("127.0.0.1", 0) as private, running(prepared(Named("new"), kept, private), wait=False):
        assert said(private) == (200, b"new")  # as seen by the server: the client might have stopped waiting
        assert said(kept) == (200, b"new")
        assert said(private) == (200, b"new")
