"""A full disk: objects say that they wait for space, and go on when there is some; nobody sees a traceback."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pantheon.engines.local import environments
from pantheon.kubeflow.client import Failed
from tests.parts.kubeflow.test_pipelines import ENVIRONMENTS, pipeline
from tests.support.disks import fill, small_disk
from tests.support.katib import experiment, of_trainjobs, spec
from tests.support.kubeflow import Service, ended, manifest
from tests.support.waiting import until

STEPS = """
import pathlib, sys, time
gate = pathlib.Path({!r})
print("starts", flush=True)
while not gate.exists():
    time.sleep(0.01)
pathlib.Path("model").write_bytes(b"x" * 200_000)
print("loss=" + sys.argv[1])
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with small_disk(tmp_path / "state", "8m") as folder:
        made = Service(folder, "pantheon.kubeflow")
        made.log = tmp_path / "kubeflow.log"
        start(made)
        yield made
        assert made.end(signal.SIGTERM) == 0
        assert "Traceback" not in made.output, made.output


def start(service: Service) -> None:
    service.start(WORKFLOW_ENVIRONMENT=sys.prefix, TRAINER_SLOTS="4")


def waits(service: Service, kind: str, name: str) -> str:
    """Return why an object waits; empty: it does not."""
    conditions = service.client.get(kind, name)["status"].get("conditions", [])
    return next((each["message"] for each in conditions if each["type"] == "Waiting"), "")


@pytest.mark.parametrize("of_trainer", [False, True], ids=["jobs", "trainjobs"])
def test_an_experiment_waits_for_space_and_loses_no_trial(service: Service, tmp_path: Path, of_trainer: bool) -> None:
    client, gate = service.client, tmp_path / "gate"
    given = spec(STEPS.format(str(gate)), maxTrialCount=3, parallelTrialCount=2, maxFailedTrialCount=1)
    given = of_trainjobs(given, nodes=1) if of_trainer else given
    text = yaml.safe_dump(experiment("full", given)).encode()
    client.apply(text)

    def started() -> int:
        return sum(
            b"starts" in client.log("trials", each["metadata"]["name"], log["name"])[0]
            for each in client.list("trials")
            for log in client.logs("trials", each["metadata"]["name"])
        )

    until(lambda: started() == 2, what="two trials run")
    filler = fill(service.state)
    gate.touch()
    names = [each["metadata"]["name"] for each in client.list("trials")]
    kind = "trainjobs" if of_trainer else "trials"
    until(lambda: all(waits(service, kind, name) for name in names), 60, what="the trials say why they wait")
    assert waits(service, kind, names[0]).startswith("the disk is full: ")
    with pytest.raises(Failed, match=r"^the disk is full: .* cannot be written\. Free some space") as refused:
        client.apply(text.replace(b"full", b"more"))
    assert refused.value.code == 507
    assert service.raw("GET", "/healthz").status == 200
    filler.unlink()
    found = client.wait("exp", "full", ended, 120)
    assert found and ended(found, "Succeeded"), (found, service.output)
    assert (found["status"]["trialsSucceeded"], found["status"].get("trialsFailed")) == (3, None)
    assert not waits(service, "exp", "full")
    assert "there is space on the disk again" in service.output


def test_a_full_disk_survives_a_restart_of_the_service(service: Service, tmp_path: Path) -> None:
    client, gate = service.client, tmp_path / "gate"
    client.apply(yaml.safe_dump(experiment("full", spec(STEPS.format(str(gate)), maxTrialCount=2))).encode())
    until(lambda: bool(client.list("trials")), what="a trial runs")
    filler = fill(service.state)
    service.end(signal.SIGKILL)
    start(service)
    (trial,) = client.list("trials")
    until(lambda: waits(service, "trials", trial["metadata"]["name"]), 60, what="the trial says why it waits")
    gate.touch()
    filler.unlink()
    found = client.wait("exp", "full", ended, 120)
    assert found and ended(found, "Succeeded"), (found, service.output)


def test_an_experiment_can_be_deleted_to_make_space(service: Service, tmp_path: Path) -> None:
    client = service.client
    client.apply(yaml.safe_dump(experiment("full", spec(STEPS.format(str(tmp_path / "never"))))).encode())
    until(lambda: bool(client.list("trials")), what="a trial runs")
    filler = fill(service.state)
    found = client.delete("exp", "full")
    assert client.gone("exp", found, 60), service.output
    assert not client.list("trials")
    filler.unlink()


def test_a_pipeline_waits_for_space_and_repeats_no_step_that_is_done(tmp_path: Path) -> None:
    environments.make(["kubeflow", "workflow"])
    spec, signs = pipeline("waiting"), tmp_path / "signs"
    signs.mkdir()
    with small_disk(tmp_path / "state", "16m") as folder:
        service = Service(folder, "pantheon.kubeflow", str(ENVIRONMENTS / "kubeflow/bin/python"))
        service.log = tmp_path / "kubeflow.log"
        client = service.start(WORKFLOW_ENVIRONMENT=str(ENVIRONMENTS / "workflow"))
        given = {"pipelineSpec": spec, "parameters": {"folder": str(signs)}, "caching": False}
        client.apply(manifest("full", kind="PipelineRun", version="pantheon.org/v1", **given))
        until(lambda: (signs / "started").exists(), what="the step runs")
        filler = fill(folder)
        (signs / "go").touch()
        until(lambda: waits(service, "pipelineruns", "full"), 60, what="the run says why it waits")
        filler.unlink()
        found = client.wait("pipelineruns", "full", ended, 120)
        assert found and ended(found, "Succeeded"), (found, service.output)
        attempts = {step["name"]: step["attempts"] for step in found["status"]["steps"]}
        assert attempts == {"add": 1, "slow": 1}
        assert (signs / "started").read_text() == "xx", "only the step that lacked space ran again"
        assert service.end(signal.SIGTERM) == 0
        assert "Traceback" not in service.output, service.output
