"""VARIANT=kserve in containers: KServe in an image of its own, which only the endpoint can reach."""

import subprocess

import pytest

from pantheon.engines.compose.client import Api
from tests.support.button import Client
from tests.support.compose import Composed, docker_command
from tests.support.waiting import until
from tests.system.endpoint.test_endpoint import ROW, TIERS


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_kserve_predicts_in_a_container_of_its_own(composed: Composed, docker: Api) -> None:
    composed.settings["PANTHEON_TIERS"] = str(TIERS)
    composed("up", "answering", "--variant", "kserve", timeout=700)
    token = composed("keys", "add", "shop").out.strip()
    client = Client(8085 + composed.offset, {"Authorization": f"Bearer {token}"})
    until(lambda: client.predict(ROW).status == 200)
    assert client.predict(ROW).json == {"prediction": [0]}
    assert client.get("/healthz").json["kserve"]["problem"] is None
    container = composed.inspect(docker, "kserve")
    assert container["Config"]["Image"].startswith("pantheon/kserve:")
    assert not any(container["NetworkSettings"]["Ports"].values())
    assert list(container["NetworkSettings"]["Networks"]) == [f"{composed.name}_inside"]
    docker_command("kill", "--signal", "KILL", f"{composed.name}-kserve-1")
    answer = client.predict(ROW)
    assert answer.status == 200 or "KServe" in answer.error["message"]
    composed("up", "answering", "--no-run", timeout=300)
    until(lambda: client.predict(ROW).status == 200)
    composed("up", "answering", "--variant", "none", "--no-run", timeout=300)
    assert "kserve" not in client.get("/healthz").json
    assert client.predict(ROW).json == {"prediction": [0]}
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["docker", "inspect", f"{composed.name}-kserve-1"], capture_output=True, check=True)
