"""A changed button in a container is replaced without losing a request: another container keeps its port open."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api
from pantheon.state import set_served
from pantheon.store import FolderStore
from tests.support.bundles import ROBOTS, bundle
from tests.support.compose import Composed
from tests.support.load import under_load
from tests.support.ports import free_port_offset
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
ROWS = json.dumps({"payload": [{column["name"]: column["example"] for column in ROBOTS}]}).encode()


def test_replacing_a_changed_button_loses_no_request(composed: Composed, tmp_path: Path, docker: Api) -> None:
    def ids() -> dict[str, str]:
        found = docker.containers(composed.name)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each["Id"] for each in found}

    composed("up", "persephone", "--no-run", timeout=600)
    store = FolderStore(composed.state / "models")
    version = store.publish("robots", bundle(tmp_path / "bundle"), {"chosen": "linear", "metric": {}})
    store.promote("robots", version, by="test")
    set_served(composed.state, "robots")
    composed("test")
    before = ids()
    assert set(before) == {"button", "button-port"}
    assert [service["name"] for service in composed("status", "--json").json["services"]] == ["button"]
    with under_load(8080 + composed.offset, "/predict", ROWS) as load:
        for _ in range(2):
            time.sleep(1)  # of load between two releases
            # a changed definition of the button: its certificates
            authorities = tmp_path / f"{time.monotonic_ns()}.pem"
            authorities.write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
            composed("up", PANTHEON_CA=str(authorities))
            after = ids()
            assert after["button-port"] == before["button-port"] and after["button"] != before["button"]
            before = after
    assert load.lost == []
    assert load.sent > 100
    assert docker.ask(f"/images/pantheon/port-button:{composed.name}/json")
    offset = free_port_offset()
    composed("up", PANTHEON_PORT_OFFSET=str(offset))
    assert set(ids()) == {"button", "button-port"}
    assert answers(f"http://127.0.0.1:{8080 + offset}") and not answers(composed.page)
    composed("predict", "--row", json.dumps(json.loads(ROWS)["payload"][0]), PANTHEON_PORT_OFFSET=str(offset))
    composed("down")
    assert docker.ask(f"/images/pantheon/port-button:{composed.name}/json") is None


def test_the_button_takes_the_port_again_after_its_keeper_was_killed(persephone: Composed, docker: Api) -> None:
    """The port's container has no rights beyond its socket; if it ends, the port works again within seconds."""
    keeper, button = (persephone.inspect(docker, name) for name in ("button-port", "button"))
    assert list(keeper["NetworkSettings"]["Networks"]) == [f"{persephone.name}_front"]
    assert [mount["Destination"] for mount in keeper["Mounts"]] == ["/ports"]
    assert keeper["HostConfig"]["CapDrop"] == ["ALL"] and keeper["HostConfig"]["ReadonlyRootfs"]
    assert keeper["Config"]["User"] == button["Config"]["User"]
    os.kill(keeper["State"]["Pid"], signal.SIGKILL)
    until(lambda: persephone.inspect(docker)["State"]["StartedAt"] != button["State"]["StartedAt"])
    until(lambda: answers(persephone.page))


def answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(f"{page}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
