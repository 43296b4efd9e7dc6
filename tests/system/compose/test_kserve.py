"""VARIANT=kserve in containers: KServe in an image of its own, which only the endpoint can reach."""

import contextlib
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pantheon.engines.compose.client import Api
from tests.support.button import Client
from tests.support.compose import Composed, docker_command
from tests.support.waiting import until
from tests.system.endpoint.test_endpoint import ROW, WITHOUT


@contextlib.contextmanager
def asked(client: Client) -> Iterator["Counter[tuple[int, bytes]]"]:
    """Ask five times a second meanwhile; the answers."""
    seen: Counter[tuple[int, bytes]] = Counter()
    end = threading.Event()

    def ask() -> None:
        while not end.wait(0.2):
            answer = client.predict(ROW)
            seen[answer.status, answer.body] += 1

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield seen
        finally:
            end.set()
        asking.result()


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(900)
def test_kserve_predicts_in_a_container_of_its_own(composed: Composed, docker: Api) -> None:
    composed("up", "hephaestus", "--without", f"{WITHOUT},feast", "--variant", "kserve", timeout=700)
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
    composed("up", "--no-run", timeout=300)
    until(lambda: client.predict(ROW).status == 200)
    button = Client(8080 + composed.offset)
    with asked(client) as direct, asked(button) as by_button:
        for variant in ("none", "kserve"):
            composed("up", "hephaestus", "--variant", variant, "--no-run", timeout=300)
            assert ("kserve" in client.get("/healthz").json) == (variant == "kserve")
    assert set(direct) == set(by_button) == {(200, b'{"prediction":[0]}')}, "nothing is lost"
    composed("up", "hephaestus", "--variant", "none", "--no-run", timeout=300)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["docker", "inspect", f"{composed.name}-kserve-1"], capture_output=True, check=True)
