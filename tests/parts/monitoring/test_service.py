"""The service ``monitor`` over HTTP, as a real process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.airflow.monitor import Monitor
from pantheon.errors import PantheonError
from pantheon.monitoring import alerts
from pantheon.monitoring.alerts import State, update
from tests.support import ROOT
from tests.support.alerts import DRIFT, report
from tests.support.dataflow import Client
from tests.support.ports import free_ports
from tests.support.waiting import until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Client]]:
    state = tmp_path_factory.mktemp("monitored")
    for name in ("state", "models", "runs", "data", "secrets", "volumes/monitor"):
        (state / name).mkdir(parents=True)
    (state / "secrets" / "monitor_token").write_text("moonlight4711\n")
    (port,) = free_ports(1)
    given = {"STATE_DIR": str(state), "SECRETS_DIR": f"{state}/secrets", "MONITOR_DIR": f"{state}/volumes/monitor"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pantheon.monitoring", "serve"],
        env={**os.environ, **given, "MONITOR_PORT": str(port), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    client = Client(port)

    def up() -> bool:
        try:
            return client("GET", "/healthz").status == 200
        except OSError:
            return False

    until(up, 120, "the service listens")
    yield state, client
    process.terminate()
    assert process.wait(60) == 0


def test_only_who_has_the_token_is_answered(service: tuple[Path, Client]) -> None:
    _, client = service
    for wrong in ("", "Bearer moonlight", "Basic moonlight4711", "Bearer moonlight4711x"):
        answer = client("POST", "/ask", b"{}", Authorization=wrong)
        assert answer.status == 401
        assert "token" in answer.json["error"]
    assert client("GET", "/").status == 404
    assert client("POST", "/other", b"{}").status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"nonsense", 400), (b"[]", 400), (b"{}", 400), (b'{"question": "report", "given": 5}', 400)],
)
def test_bodies_that_are_no_questions_are_refused(service: tuple[Path, Client], body: bytes, status: int) -> None:
    answer = service[1]("POST", "/ask", body)
    assert answer.status == status
    assert answer.json["error"]


def test_a_body_that_is_too_large_is_refused(service: tuple[Path, Client]) -> None:
    assert service[1]("POST", "/ask", None, **{"Content-Length": "70000"}).status == 413


def test_airflow_gets_the_cause_and_the_cure(service: tuple[Path, Client]) -> None:
    monitor = Monitor(f"http://127.0.0.1:{service[1].port}", "moonlight4711", retry_seconds=5)
    with pytest.raises(PantheonError, match="no model is deployed yet") as error:
        monitor.ask("served")
    assert (error.value.cure, error.value.status) == ("Train one: `run`", 1)
    for question in ("alerts", "test", "nonsense"):  # of commands only
        with pytest.raises(PantheonError, match="there is no question"):
            monitor.ask(question)
    with pytest.raises(PantheonError, match="requires a token"):
        Monitor(f"http://127.0.0.1:{service[1].port}", "starlight", retry_seconds=5).ask("served")


def test_what_waits_is_delivered_without_a_new_report(tmp_path: Path) -> None:
    from pantheon.monitoring.deliver import FILE, again

    again(tmp_path, tmp_path)  # nothing waits
    state = State()
    update(state, report(1, DRIFT), ["file"])
    alerts.write(tmp_path, state)
    again(tmp_path, tmp_path)
    assert len((tmp_path / FILE).read_text().splitlines()) == 1
    assert alerts.read(tmp_path).waiting == []
