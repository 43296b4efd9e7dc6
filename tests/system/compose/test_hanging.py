"""A service that hangs in its container recovers without a command, although Docker does not restart it."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
import yaml

from pantheon.engines.compose.client import Api
from tests.support import ROOT
from tests.support.compose import Contained, contained
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(200)]
SCRIPT = "${SOURCE_ROOT:-/app}/compose/health.sh"
SERVER = """
import http.server, signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
http.server.HTTPServer(("127.0.0.1", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
ASK = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000', timeout=0.5)"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, docker: Api) -> Iterator[Contained]:
    """One service on the base of all services, with the script in its health check."""
    with contained(tmp_path_factory.mktemp("hanging"), docker) as made:
        health = {"test": ["CMD", "sh", SCRIPT, "4", "python", "-S", "-c", ASK], "start_period": "60s", "timeout": "2s"}
        service = {
            "extends": {"file": str(ROOT / "compose" / "hardened.yaml"), "service": "hardened"},
            "image": "python:3.11-slim-bookworm",
            "command": ["python", "-c", SERVER],
            "working_dir": "/etc/apt",
            "healthcheck": {**health, "interval": "200ms", "start_interval": "100ms", "retries": 2},
            "restart": "always",
        }
        made.file.write_text(yaml.safe_dump({"services": {"web": service}}))
        engine = made.engine(made.file)
        engine.definition.overrides.clear()
        engine.up()
        yield made


def started(web: Contained) -> tuple[str, bool]:
    """When the container was started, and whether it is healthy."""
    state = web.inspect("web")["State"]
    return state["StartedAt"], state["Health"]["Status"] == "healthy"


def main(web: Contained) -> psutil.Process:
    """The service's process: the child of the container's init."""
    (child,) = psutil.Process(web.inspect("web")["State"]["Pid"]).children()
    return child


def test_a_service_that_no_longer_answers_is_restarted(web: Contained) -> None:
    before, _ = started(web)
    main(web).send_signal(signal.SIGUSR1)
    until(lambda: not started(web)[1])
    until(lambda: started(web)[1] and started(web)[0] != before, 60)
    assert "4 health checks in a row failed: ending the service" in "\n".join(web.engine(web.file).logs("web"))


def test_a_stopped_service_continues(web: Contained) -> None:
    main(web).send_signal(signal.SIGSTOP)
    until(lambda: main(web).status() == psutil.STATUS_STOPPED)
    until(lambda: main(web).status() != psutil.STATUS_STOPPED)
    until(lambda: started(web)[1])


def test_a_service_that_ends_under_a_stopped_init_process_is_restarted(web: Contained) -> None:
    before, child = started(web)[0], main(web)
    os.kill(web.inspect("web")["State"]["Pid"], signal.SIGSTOP)
    child.kill()
    until(lambda: started(web)[1] and started(web)[0] != before, 60)
