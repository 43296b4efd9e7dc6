"""A process keeps a port open; others take its socket, and end with it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.waiting import until

PORT = [sys.executable, "-P", "-S", "-m", "pantheon.web.port"]
SERVER = """
import os, socket
with socket.socket(fileno=int(os.environ["PANTHEON_SOCKET"])) as kept:
    while True:
        with kept.accept()[0] as client:
            client.sendall(b"%d" % os.getpid())
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def answer(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as asking:
        return asking.recv(100).decode()


def test_a_service_takes_the_port_and_ends_with_its_keeper(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (port,), path = free_ports(1), str(tmp_path / "socket")
    keeper = subprocess.Popen([*PORT, "keep", str(port), path])
    started.append(keeper)
    for _ in range(3):  # each is killed, and the port stays open
        service = subprocess.Popen([*PORT, "take", path, sys.executable, "-c", SERVER])
        started.append(service)
        assert answer_when_open(port) == str(service.pid)
        if len(started) < 4:
            service.kill()
            service.wait()
    keeper.kill()
    assert service.wait(60) == -signal.SIGTERM


def answer_when_open(port: int) -> str:
    def opened() -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0

    until(opened)
    return answer(port)
