"""A load and the figures of /proc, on one small server."""

import http.server
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pantheon import processes
from pantheon.compare import load, usage
from pantheon.errors import PantheonError


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/predict" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A load ends with requests under way."""


@pytest.fixture
def server() -> Iterator[Any]:
    with Server(("127.0.0.1", 0), Answers) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield SimpleNamespace(port=made.server_port, address=f"http://127.0.0.1:{made.server_port}")
        made.shutdown()
        thread.join()


def test_a_load_counts_answers_and_refusals(server: Any) -> None:
    sent = load.request(server.address, "/predict", b'{"payload": []}')
    done = load.send(server.address, sent, 4, 0.3)
    assert len(done.latencies) > 20
    assert done.wrong == 0
    assert 0 < done.quantile_ms(0.5) <= done.quantile_ms(0.99)
    refused = load.send(server.address, load.request(server.address, "/other", b"{}"), 1, 0.1)
    assert refused.wrong == len(refused.latencies) > 0


def test_a_server_that_is_away_is_an_error_in_one_sentence(server: Any) -> None:
    with pytest.raises(PantheonError, match="does not answer: Connection refused"):
        load.send("http://127.0.0.1:1", b"", 1, 0.1)


def test_ports_memory_and_processor_of_processes(server: Any) -> None:
    engine: Any = SimpleNamespace(
        processes=lambda: processes.descendants([os.getpid()]), planned=lambda: [], status=lambda: []
    )
    assert usage.ports(engine) == {server.port: False}
    assert usage.ports_inside(engine) == 0
    assert usage.memory_mb(engine) > 5
    used = usage.processor(engine, 0.2)
    assert used is not None
    assert 0 <= used < 110
