"""The memory of the button as a process, while many clients send what takes the most."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pantheon.web.granian import more_files
from serving.endpoint.body import MOST_VALUES
from tests.parts.serving.test_process import process, wait_until_ready
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.hostile_bodies import hostile

pytestmark = pytest.mark.slow

INPUTS = 500
WIDE = [{"name": f"x{i}", "type": "number", "nullable": True, "example": 1} for i in range(INPUTS)]
BODIES = hostile(INPUTS, MOST_VALUES)
CLIENTS = 4
MOST_MB = 240  # of 256 in its container; 40 of them are files that were read, which the system can drop


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Client]]:
    folder = tmp_path_factory.mktemp("wide")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "bundle", WIDE))
    with process(deployment.folder) as (started, client):
        wait_until_ready(client, started)
        yield started.pid, client


@pytest.mark.parametrize("what", BODIES)
def test_no_body_takes_more_memory_than_the_container_has(wide: tuple[int, Client], what: str) -> None:
    pid, client = wide
    body = BODIES[what]()
    assert len(body) < 10 * 1024 * 1024

    def ask(_: int) -> int:
        return client("POST", "/predict", body, Content_Type="application/json").status

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = set(pool.map(ask, range(CLIENTS)))
    assert statuses <= {200, 400, 408, 413, 422, 503}, statuses
    assert client.get("/healthz").status == 200
    assert peak_mb(pid) < MOST_MB


@pytest.mark.parametrize(
    "start",
    [
        b"POST /predict HTTP/1.1\r\nX: " + b"a" * 31_000,
        b"POST /predict HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Type: application/json\r\n"
        + b"Content-Length: 16384\r\n\r\n"
        + b" " * 16_000,
    ],
)
def test_a_thousand_unfinished_requests_take_little_memory(wide: tuple[int, Client], start: bytes) -> None:
    pid, client = wide
    more_files(4096)
    slow = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(1000)]
    try:
        for connection in slow:
            connection.sendall(start.replace(b"PORT", str(client.port).encode()))
        assert client.get("/healthz").status == 200
        assert client.predict({"x0": 1}).status == 200
    finally:
        for connection in slow:
            connection.close()
    assert peak_mb(pid) < MOST_MB
