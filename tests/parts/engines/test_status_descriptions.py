"""How `status` describes a service that is not up yet."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.engines import Deployment
from tests.support.waiting import until


def test_a_starting_local_service_shows_its_uptime_and_the_health_checks_result(
    deployment: Deployment, port: int, tmp_path: Path
) -> None:
    local = {"health_url": f"http://127.0.0.1:{port}/"}
    health = {"test": ["CMD", "false"], "start_period": "60s"}
    wait_then_serve = (
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exec python -m http.server -b 127.0.0.1 {port}"
    )
    deployment.write(
        web={"command": ["sh", "-c", wait_then_serve.replace("$", "$$")], "healthcheck": health, "x-local": local},
        page={"actor": ["sleep"], "depends_on": {"web": {"condition": "service_healthy"}}},
    )
    with ThreadPoolExecutor() as pool:
        up = pool.submit(deployment.engine().up)
        until(lambda: "web" in deployment.status() and "refused" in deployment.status()["web"].why)
        status = deployment.status()
        assert status["web"].state == "starting"
        assert re.fullmatch(r"[0-9.]+ s so far; health check says: connection refused", status["web"].why)
        assert (status["page"].state, status["page"].why) == ("waiting", "waits for web to be healthy")
        (tmp_path / "go").touch()
        up.result()
    assert deployment.status()["web"].why == ""


def test_a_restarted_service_shows_the_reason(deployment: Deployment) -> None:
    deployment.up(web={"actor": ["sleep"], "restart": "always"})
    deployment.kill("web")
    until(lambda: (now := deployment.status()["web"]).restarts == 1 and now.state == "running")
    assert deployment.status()["web"].why == "restarted once, the last time after it was killed by SIGKILL"
