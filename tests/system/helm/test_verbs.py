"""Every verb on Kubernetes, as on the other engines."""

import json
import os
import re
import signal
import urllib.request

import pytest

from tests.support.kubernetes import ROBOT, Clustered


def page(deployment: Clustered) -> dict[str, object]:
    with urllib.request.urlopen(f"{deployment.pantheon.page}/healthz", timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tier", ["persephone", "zeus"])
def test_all_verbs(deployment: Clustered, tier: str) -> None:
    pantheon = deployment.pantheon
    up = pantheon("up", tier, "--trials", "1", timeout=1500)
    assert "helm" in up.err, "commands are shown"
    assert page(deployment)["version"] == "1"

    status = pantheon("status", "--json").json
    assert {each["state"] for each in status["services"]} <= {"healthy", "completed"}
    assert status["warnings"] == []
    again = pantheon("up", tier)
    assert "already up: nothing to do" in again.err

    assert pantheon("predict", "--row", ROBOT, "--json").json["version"] == "1"
    assert "3 inputs per row: robot-age" in pantheon("ask").out
    assert len(pantheon("runs", "--json").json) == 1
    assert pantheon("models", "list").out
    assert "button" in pantheon("logs", "--service", "button").out
    assert pantheon("test", timeout=600).status == 0

    pantheon("run", "--trials", "1", timeout=1500)
    pantheon("models", "rollback")
    assert page(deployment)["version"] == "1"

    before = deployment.kubectl("get", "pvc", "-o", "name")
    pantheon("down")
    assert deployment.pods() == {}
    assert deployment.kubectl("get", "pvc", "-o", "name") == before, "data is kept"
    pantheon("up", tier, timeout=900)
    assert page(deployment)["version"] == "1"

    refused = pantheon("destroy", check=False)
    assert (refused.status, "CONFIRM=yes" in refused.message) == (2, True)
    pantheon("destroy", "--confirm", "yes")
    assert deployment.name not in deployment.kubectl("get", "namespaces", "-o", "name", check=False)
    assert not deployment.state.exists()


def test_forwards_that_end_are_noticed_and_come_back(deployment: Clustered) -> None:
    pantheon = deployment.pantheon
    pantheon("up", "persephone", "--no-run", timeout=900)
    record = json.loads((deployment.state / "helm" / "forwards.pid.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    assert "The services cannot be reached at 127.0.0.1" in " ".join(pantheon("status", "--json").json["warnings"])
    pantheon("up", "persephone", "--no-run")
    assert page(deployment)["status"] == "ok"
    deployment.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=button")
    pantheon("up", "persephone", "--no-run")
    assert page(deployment)["status"] == "ok"


def test_pods_that_no_node_accepts_are_refused_before_anything_is_installed(deployment: Clustered) -> None:
    values = deployment.pantheon.home / "values.yaml"
    values.write_text('pods: {all: {nodeSelector: {"no-such-label": "yes"}}}\n')
    deployment.pantheon.settings["PANTHEON_VALUES"] = str(values)
    answer = deployment.pantheon("up", "persephone", "--no-run", check=False, timeout=300)
    assert answer.status == 2
    assert "does not have the label no-such-label=yes" in answer.message
    assert deployment.name not in deployment.kubectl("get", "namespaces", "-o", "name", check=False)


def test_an_image_that_cannot_be_pulled_is_said_soon_and_can_be_mended(deployment: Clustered) -> None:
    pantheon, away = deployment.pantheon, "localhost:1/postgres:18"
    answer = pantheon("up", "prometheus", "--no-run", check=False, timeout=300, POSTGRES_IMAGE=away)
    assert answer.status == 1
    assert re.search(f"the image {away} cannot be pulled: .*connection refused", answer.message)
    said = re.search(r"postgres +(\d+) s +the image", answer.err)
    assert said, answer.err
    assert int(said[1]) < 45
    pantheon("up", "prometheus", "--no-run", timeout=900)  # a StatefulSet keeps a pod that never was ready
