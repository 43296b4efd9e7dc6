"""Containers at their limits of memory: no request ends the button's, and a stage that goes past its own says so."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from pantheon.engines.compose.client import Api
from serving.endpoint.body import MOST_VALUES, most_rows
from tests.support.compose import Composed
from tests.support.hostile_bodies import hostile

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
CLIENTS = 6


def test_no_body_ends_the_container(persephone: Composed, docker: Api) -> None:
    before = persephone.inspect(docker)
    assert before["HostConfig"]["Memory"] == 256 * 1024 * 1024
    with urllib.request.urlopen(f"{persephone.page}/signature", timeout=10) as answer:
        inputs = len(json.load(answer)["inputs"])
    values = min(MOST_VALUES, most_rows(inputs, 10_000) * (inputs + 1))

    def ask(body: bytes) -> int:
        request = urllib.request.Request(f"{persephone.page}/predict", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    for what, make in hostile(inputs, values).items():
        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = set(pool.map(ask, [make()] * CLIENTS))
        assert statuses <= {200, 400, 408, 413, 422, 503}, (what, statuses)
    after = persephone.inspect(docker)
    assert (after["Id"], after["RestartCount"]) == (before["Id"], before["RestartCount"])
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert not after["State"]["OOMKilled"]


GREEDY = """
import mmap
from pantheon.workflow.extensions import feature

@feature("greedy")
def greedy(columns):
    shared = mmap.mmap(-1, 1 << 33)  # no limit of a process counts it, the container's does
    while True:
        shared.write(bytes(1 << 24))
"""


def test_a_stage_past_the_memory_of_its_container_says_so_and_the_run_is_resumed(persephone: Composed) -> None:
    extension = persephone.state / "extensions" / "greedy.py"
    extension.write_text(GREEDY)
    try:
        failed = persephone("run", check=False, WORKFLOW_MEMORY="1g")
    finally:
        extension.unlink()
    assert failed.status == 1
    assert "was killed during feature_engineering (SIGKILL), most likely because memory ran out." in failed.message
    assert "WORKFLOW_MEMORY=2g" in failed.message
    run = persephone("runs", "--json").json[0]
    assert run["state"] == "interrupted"
    assert f"run --resume {run['id']}" in failed.message
    assert persephone("run", "--resume", run["id"], "--json", check=False).json["run"] == run["id"]
