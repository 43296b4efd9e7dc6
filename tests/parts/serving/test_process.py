"""``python -m serving.button`` as a process: fast start, little memory, clean shutdown."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.ports import free_ports
from tests.support.waiting import until


@contextmanager
def process(state: Path | str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    (port,) = free_ports(1)
    settings = {"STATE_DIR": str(state), "BUTTON_HOST": "127.0.0.1", "BUTTON_PORT": str(port), "PYTHONPATH": str(ROOT)}
    env = os.environ | settings | environment
    command = [sys.executable, "-m", "serving.button"]
    started = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield started, Client(port)
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate(timeout=60)


def wait_until_ready(client: Client, started: subprocess.Popen[str]) -> None:
    def ready() -> bool:
        assert started.poll() is None, "the button ended"
        with suppress(OSError):
            return bool(client.get("/healthz").json["ready"])
        return False

    until(ready)


@pytest.fixture
def ready(deployment: Deployment, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    deployment.publish(bundle(tmp_path / "b"))
    with process(deployment.folder) as (started, client):
        wait_until_ready(client, started)
        yield started, client


def test_the_button_uses_little_memory(ready: tuple[subprocess.Popen[str], Client]) -> None:
    started, client = ready
    for _ in range(20):
        assert client.get("/").status == 200
        assert client.predict(*[{"robot-age": 5}] * 10_000).status == 200
    rollup = Path(f"/proc/{started.pid}/smaps_rollup")
    pss = next(int(line.split()[1]) for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
    assert pss < 130_000, f"{pss} kB"


def test_it_finishes_started_requests_on_sigterm(ready: tuple[subprocess.Popen[str], Client]) -> None:
    started, client = ready
    body = json.dumps({"payload": [{"robot-age": 50}]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    assert client.get("/healthz").status == 200  # by now a thread waits for the rest of the first request
    started.send_signal(signal.SIGTERM)
    with pytest.raises(OSError):
        while True:
            socket.create_connection(("127.0.0.1", client.port), timeout=5).close()
    connection.send(body[10:])
    assert connection.getresponse().read() == b'{"prediction":[0]}'
    assert started.wait(60) == 0


def test_the_engines_health_check(ready: tuple[subprocess.Popen[str], Client]) -> None:
    started, client = ready
    env = os.environ | {"BUTTON_PORT": str(client.port), "PYTHONPATH": str(ROOT)}
    check = [sys.executable, "-S", "-m", "pantheon.web.health", "BUTTON_PORT", "/healthz"]
    assert subprocess.run(check, env=env, capture_output=True, check=False).returncode == 0
    started.terminate()
    started.wait(60)
    assert subprocess.run(check, env=env, capture_output=True, check=False).returncode == 1


def test_errors_at_start_are_one_line(tmp_path: Path) -> None:
    with process(tmp_path / "nowhere") as (started, _):
        assert started.wait(60) == 2
        assert started.stderr
        assert started.stderr.read().startswith("button: STATE_DIR does not name")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with process(tmp_path, BUTTON_PORT=str(taken.getsockname()[1])) as (started, _):
            assert started.wait(60) == 1
            assert started.stderr
            said = started.stderr.read()
            assert "cannot listen on" in said
            assert "Traceback" not in said
