"""Experiments whose trials are TrainJobs: nodes, metrics, failures, kills."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.katib import Spec, experiment, of_trainjobs, spec
from tests.support.kubeflow import Service, ended
from tests.support.waiting import until

LOSS = """
import os, sys
x, n = map(float, sys.argv[1:])
rank, nodes = os.environ["PET_NODE_RANK"], os.environ["PET_NNODES"]
print("node", rank, "of", nodes, os.environ["KATIB_TRIAL_NAME"])
print("loss=" + str((x - 3) ** 2 + n if rank == "0" else -1), flush=True)
"""
WAIT = """
import pathlib, time
while not pathlib.Path({!r}).exists():
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("katib"), "pantheon.kubeflow")
    start(made)
    yield made
    assert made.end(signal.SIGTERM) == 0
    assert "Traceback" not in made.output
    until(lambda: not made.children(), what="no node is left")


def start(service: Service) -> None:
    service.start(WORKFLOW_ENVIRONMENT=sys.prefix, TRAINER_SLOTS="4")


def apply(service: Service, name: str, given: Spec) -> None:
    service.client.apply(yaml.safe_dump(experiment(name, given)).encode())


def finish(service: Service, name: str) -> dict[str, Any]:
    found = service.client.wait("exp", name, ended, 120, poll=0.1)
    assert found, service.client.get("exp", name)["status"]
    status: dict[str, Any] = found["status"]
    return status


def trials(service: Service, name: str) -> list[dict[str, Any]]:
    found = service.client.list("trials")
    return [each for each in found if each["metadata"]["labels"]["katib.kubeflow.org/experiment"] == name]


def trainjobs(service: Service) -> set[str]:
    return {each["metadata"]["name"] for each in service.client.list("trainjobs")}


def test_trials_are_trainjobs_whose_first_node_reports(service: Service) -> None:
    given = of_trainjobs(spec(LOSS, "tpe", {"random_state": "1"}, maxTrialCount=3, parallelTrialCount=2), retain=True)
    apply(service, "nodes", given)
    status = finish(service, "nodes")
    assert (ended({"status": status}, "Succeeded"), status["trialsSucceeded"]) == (True, 3)
    made = {each["metadata"]["name"]: each for each in trials(service, "nodes")}
    best = made[status["currentOptimalTrial"]["bestTrialName"]]
    values = {each["name"]: float(each["value"]) for each in best["spec"]["parameterAssignments"]}
    (metric,) = best["status"]["observation"]["metrics"]
    assert float(metric["min"]) == (values["x"] - 3) ** 2 + values["n"] >= 0, "the second node's values do not count"
    name = best["metadata"]["name"]
    logs = [each["name"] for each in service.client.logs("trials", name)]
    assert logs == [f"{name}-node-0-0.log", f"{name}-node-0-1.log"]
    assert f"node 1 of 2 {name}\n" in service.client.log("trials", name, logs[1])[0].decode()
    assert trainjobs(service) == set(made), "they stay, as spec.trialTemplate.retain says"
    curves = service.state / "kubeflow" / "tensorboard" / "default" / "experiments" / "nodes"
    assert {each.name for each in curves.iterdir()} == set(made)
    found = service.client.delete("exp", "nodes")
    assert service.client.gone("exp", found, 60)
    until(lambda: not trainjobs(service), what="the TrainJobs are gone with their trials")


def test_without_retain_the_trainjob_is_deleted_and_its_logs_stay(service: Service) -> None:
    code = "import os, pathlib; pathlib.Path('/katib/m.log'[:0] + __import__('sys').argv[3]).write_text("
    code += "'loss=' + os.environ['JOB_COMPLETION_INDEX'] + chr(10)); print('written')"
    given = of_trainjobs(
        spec(code, maxTrialCount=1), primaryPodLabels={"batch.kubernetes.io/job-completion-index": "1"}
    )
    given["metricsCollectorSpec"] = {
        "collector": {"kind": "File"}, "source": {"fileSystemPath": {"path": "/katib/m.log"}},
    }  # fmt: skip
    given["trialTemplate"]["trialSpec"]["spec"]["trainer"]["args"].append("/katib/m.log")
    apply(service, "file", given)
    assert finish(service, "file")["currentOptimalTrial"]["observation"]["metrics"][0]["latest"] == "1"
    (trial,) = trials(service, "file")
    until(lambda: not trainjobs(service), what="the TrainJob is deleted")
    name = trial["metadata"]["name"]
    assert b"written\n" in service.client.log("trials", name, f"{name}-node-0-1.log")[0]


def test_a_failure_names_the_node_and_what_it_said(service: Service) -> None:
    broken = "import os, sys; sys.exit('out of luck' if os.environ['JOB_COMPLETION_INDEX'] == '1' else 0)"
    given = of_trainjobs(spec(broken, maxFailedTrialCount=1))
    given["trialTemplate"]["trialSpec"]["spec"] |= {"runtimeRef": {"name": "plainml-distributed"}}
    apply(service, "broken", given)
    status = finish(service, "broken")
    assert (ended({"status": status}, "Failed"), status["trialsFailed"]) == (True, 1)
    (trial,) = trials(service, "broken")
    said = trial["status"]["conditions"][-1]["message"]
    assert said.startswith("Trial has failed: jobset failed due to reaching max number of restarts")
    assert said.endswith(f"{trial['metadata']['name']}-node-0-1 exited with 1): out of luck")


def test_a_goal_and_early_stopping_stop_the_nodes(service: Service) -> None:
    code = "import sys\nfor i in range(3): print('loss=' + sys.argv[1], flush=True)\n"
    code += "if float(sys.argv[1]) > 1:\n    import time; time.sleep(600)"
    parameters = [{"name": "x", "parameterType": "discrete", "feasibleSpace": {"list": ["0", "5"]}}]
    objective = {"type": "minimize", "objectiveMetricName": "loss", "goal": 1}
    given = spec(code, "grid", parameters=parameters, objective=objective, maxTrialCount=2, parallelTrialCount=2)
    apply(service, "goal", of_trainjobs(given))
    status = finish(service, "goal")
    assert (status["trialsSucceeded"], status["trialsKilled"]) == (1, 1)
    until(lambda: not service.children() and not trainjobs(service), what="no node runs any more")


def test_a_killed_service_goes_on_with_the_trainjobs_of_its_trials(service: Service, tmp_path: Path) -> None:
    gate, client = tmp_path / "gate", service.client
    apply(service, "killed", of_trainjobs(spec(LOSS + WAIT.format(str(gate)), maxTrialCount=3, parallelTrialCount=2)))

    def reported() -> int:
        names = [each["metadata"]["name"] for each in trials(service, "killed")]
        logs = [client.log("trials", name, each["name"])[0] for name in names for each in client.logs("trials", name)]
        return sum(b"loss=" in log for log in logs)

    until(lambda: reported() == 4, what="four nodes have reported")
    before = {each["metadata"]["name"]: each["metadata"]["uid"] for each in client.list("trainjobs")}
    service.end(signal.SIGKILL)
    start(service)
    after = {each["metadata"]["name"]: each["metadata"]["uid"] for each in client.list("trainjobs")}
    assert after == before, "no other ones are made"
    gate.touch()
    status = finish(service, "killed")
    assert (status["trials"], status["trialsSucceeded"]) == (3, 3)
    for trial in trials(service, "killed"):
        assert float(trial["status"]["observation"]["metrics"][0]["min"]) >= 0
