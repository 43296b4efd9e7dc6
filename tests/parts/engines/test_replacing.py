"""A changed button is replaced without losing a request: the new process starts beside the old one."""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pantheon.errors import PantheonError
from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Deployment as Published
from tests.support.engines import Deployment
from tests.support.load import CLIENTS, under_load
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ROWS = json.dumps({"payload": [{column["name"]: column["example"] for column in ROBOTS}]}).encode()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    made = Published(tmp_path / "published")
    made.publish(bundle(tmp_path / "bundle"))
    return made.folder


def button(published: Path, port: int, release: str) -> dict[str, Any]:
    """The button's definition; a change of ``release`` is a change of it."""
    return {
        "command": [sys.executable, "-m", "serving.button"],
        "environment": {"STATE_DIR": str(published), "BUTTON_PORT": port, "RELEASE": release},
        "ports": [{"host_ip": "127.0.0.1", "target": port, "published": str(port), "app_protocol": "http"}],
        "healthcheck": {"test": ["CMD", "true"], "interval": "1s", "retries": 2, "start_interval": "100ms"},
        "deploy": {"update_config": {"order": "start-first"}},
        "restart": "always",
        "x-local": {"health_url": f"http://127.0.0.1:{port}/healthz"},
    }


def test_replacing_a_changed_service_loses_no_request(deployment: Deployment, port: int, published: Path) -> None:
    deployment.up(button=button(published, port, "0"))
    pids = [deployment.pid("button")]
    with under_load(port, "/predict", ROWS) as load:
        for release in ("1", "2", "3"):
            time.sleep(0.5)  # of load between two releases
            deployment.up(button=button(published, port, release))
            pids.append(deployment.pid("button"))
            until(lambda: len([line for line in deployment.left() if "serving.button" in line]) == 1)
    assert load.lost == []
    assert load.sent > 100 and len(set(pids)) == 4
    deployment.engine().down()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_killed_service_loses_only_requests_on_open_connections(
    deployment: Deployment, port: int, published: Path
) -> None:
    deployment.up(button=button(published, port, "0"))
    with under_load(port, "/predict", ROWS) as load:
        time.sleep(0.5)
        deployment.kill("button")
        until(lambda: deployment.status()["button"].restarts == 1)
        until(lambda: deployment.status()["button"].state == "healthy")
        time.sleep(0.5)
    assert len(load.lost) <= CLIENTS and not any("Refused" in why for why in load.lost), load.lost


def test_a_replacement_that_does_not_start_leaves_the_running_service_alone(
    deployment: Deployment, port: int, published: Path
) -> None:
    deployment.up(button=button(published, port, "0"))
    before = deployment.pid("button")
    broken = button(published, port, "1")
    broken["environment"]["STATE_DIR"] = "/nowhere"
    with under_load(port, "/predict", ROWS) as load:
        with pytest.raises(PantheonError, match="button keeps crashing: exited with 2") as caught:
            deployment.up(button=broken)
        assert "the one before keeps running" in caught.value.cause
        deployment.up(button=button(published, port, "0"))
    assert load.lost == []
    assert deployment.pid("button") == before


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"order": "start-first"}, "start-first. This needs one port and x-local.health_url."),
        ({"order": "stop-first", "parallelism": 2}, "deploy.update_config.parallelism"),
    ],
)
def test_what_cannot_keep_its_meaning_is_refused(deployment: Deployment, update: dict[str, Any], said: str) -> None:
    deployment.write(web={"actor": ["sleep"], "deploy": {"update_config": update}})
    with pytest.raises(PantheonError) as caught:
        deployment.engine().planned()
    assert said in f"{caught.value.cause} {caught.value.cure}"
