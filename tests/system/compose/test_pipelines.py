"""A tier's run as a pipeline of Kubeflow, in containers."""

import json
import os
import signal
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api
from tests.support import ROOT
from tests.support.compose import Composed
from tests.support.waiting import until

FLOWS = ROOT / "tests" / "support" / "pipelines_inside" / "flows.py"


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_run_is_a_pipeline_in_containers(composed: Composed, docker: Api, tmp_path: Path) -> None:
    composed.settings["PANTHEON_TIERS"] = str(ROOT / "tests" / "support" / "kubeflow_tier")
    outcome = composed("up", "tentacle", "--json", timeout=700).json["outcome"]
    assert outcome["decision"] == "promoted" and outcome["version"] == "1"
    name = f"workflow-{outcome['run']}"
    steps = {each["name"]: each for each in composed("pipeline", "show", name, "--json").json["status"]["steps"]}
    assert steps["deploy"]["state"] == "done" and steps["refuse"]["state"] == "skipped"
    (job,) = json.loads(composed("get", "trainjobs", "-o", "json").out)["items"]
    assert job["metadata"]["name"] == f"train-{outcome['run']}"
    assert composed("predict", "--row", json.dumps(composed.row("robots"))).out
    container = composed.inspect(docker, "kubeflow")
    assert not any(container["NetworkSettings"]["Ports"].values()), "its API is not published"

    again = composed.popen("run", "--trials", "2", "--json")
    works = composed.state / "kubeflow" / "work" / "default" / "pipelineruns"
    until(lambda: len(list(works.glob("*/logs/train.log"))) == 2, 300, what="the second run trains")
    main = composed.inspect(docker, "kubeflow")["State"]["Pid"]
    os.kill(main, signal.SIGKILL)  # from outside: Docker does not restart what it was told to kill
    said, errors = again.communicate(timeout=400)
    assert again.returncode == 0, errors
    assert json.loads(said)["version"], "the run goes on after its service was killed"

    done = composed("pipeline", "run", str(FLOWS), "folder=/tmp", "seconds=0", "--function", "waiting", "--json").json
    assert {each["state"] for each in done["status"]["steps"]} == {"done"}
