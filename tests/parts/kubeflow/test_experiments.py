"""Experiments of Katib with real processes: they end as Katib says, and survive kills."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.katib import Spec, experiment, spec
from tests.support.kubeflow import Service, ended
from tests.support.waiting import until

SEED = {"random_state": "1"}
LOSS = "import sys; x, n = map(float, sys.argv[1:]); print(f'loss={(x - 3) ** 2 + n}', flush=True); "
WAIT = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
"""Code that waits for a file."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("katib"), "pantheon.kubeflow")
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    assert "Traceback" not in made.output
    until(lambda: not made.children(), what="no trial is left")


def apply(service: Service, name: str, given: Spec) -> None:
    service.client.apply(yaml.safe_dump(experiment(name, given)).encode())


def finish(service: Service, name: str) -> dict[str, Any]:
    found = service.client.wait("exp", name, ended, 120, poll=0.1)
    assert found, service.client.get("exp", name)["status"]
    status: dict[str, Any] = found["status"]
    return status


def reason(status: dict[str, Any], type: str) -> str:
    return next(
        (each["reason"] for each in status["conditions"] if each["type"] == type and each["status"] == "True"), ""
    )


def trials(service: Service, name: str) -> list[dict[str, Any]]:
    found = service.client.list("trials")
    return [each for each in found if each["metadata"]["labels"]["katib.kubeflow.org/experiment"] == name]


def values_of(service: Service, name: str) -> set[tuple[str, ...]]:
    """Return the values of each trial."""
    return {tuple(each["value"] for each in trial["spec"]["parameterAssignments"]) for trial in trials(service, name)}


def running(service: Service, name: str) -> int:
    return len(service.client.get("exp", name)["status"].get("runningTrialList", []))


def test_an_experiment_makes_its_trials_and_knows_the_best(service: Service) -> None:
    apply(service, "best", spec(LOSS, "tpe", SEED, maxTrialCount=5, parallelTrialCount=2))
    status = finish(service, "best")
    assert reason(status, "Succeeded") == "ExperimentMaxTrialsReached"
    assert reason(status, "Created") == "ExperimentCreated" and not reason(status, "Running")
    assert (status["trials"], status["trialsSucceeded"], len(status["succeededTrialList"])) == (5, 5, 5)
    made = {each["metadata"]["name"]: each for each in trials(service, "best")}
    assert set(made) == set(status["succeededTrialList"])
    losses = {name: float(each["status"]["observation"]["metrics"][0]["min"]) for name, each in made.items()}
    best = status["currentOptimalTrial"]
    assert best["bestTrialName"] == min(losses, key=lambda name: losses[name])
    values = {each["name"]: float(each["value"]) for each in best["parameterAssignments"]}
    (metric,) = best["observation"]["metrics"]
    assert float(metric["latest"]) == (values["x"] - 3) ** 2 + values["n"]
    client = service.client
    assert client.log("trials", best["bestTrialName"], "trial.log")[0] == f"loss={metric['latest']}\n".encode()
    columns = client.table("exp", "best", "default")["rows"][0]["columns"]
    assert columns == {"STATUS": "Succeeded", "TRIALS": "5/5", "BEST": f"loss={metric['min']}"}
    curves = service.state / "kubeflow" / "tensorboard" / "default" / "experiments" / "best"
    assert {each.name for each in curves.iterdir()} == set(made)
    apply(service, "again", spec(LOSS, "tpe", SEED, maxTrialCount=2))
    finish(service, "again")
    assert len(values_of(service, "again")) == 2
    assert values_of(service, "again") < values_of(service, "best"), "the same seed proposes the same"
    assert client.gone("exp", client.delete("exp", "best"), 60)
    assert not trials(service, "best") and not curves.exists()


def test_a_goal_ends_an_experiment_and_stops_the_trials_that_run(service: Service, tmp_path: Path) -> None:
    code = "import sys; print('loss=' + sys.argv[1], flush=True)\n"
    code += "if float(sys.argv[1]) > 1:\n    import time; time.sleep(600)"
    parameters = [{"name": "x", "parameterType": "discrete", "feasibleSpace": {"list": ["0", "5", "6"]}}]
    objective = {"type": "minimize", "objectiveMetricName": "loss", "goal": 1}
    given = spec(code, "grid", SEED, parameters=parameters, objective=objective, maxTrialCount=3, parallelTrialCount=3)
    apply(service, "goal", given)
    status = finish(service, "goal")
    assert reason(status, "Succeeded") == "ExperimentGoalReached"
    assert (status["trialsSucceeded"], status["trialsKilled"]) == (1, 2)
    until(lambda: not service.children(), what="no trial runs any more")


def test_failures_are_counted_and_end_an_experiment(service: Service) -> None:
    broken = "import sys; sys.exit('out of luck')"
    apply(service, "broken", spec(broken, maxFailedTrialCount=2))
    status = finish(service, "broken")
    assert reason(status, "Failed") == "ExperimentFailed"
    assert (status["trials"], status["trialsFailed"]) == (2, 2)
    conditions = trials(service, "broken")[0]["status"]["conditions"]
    assert conditions[-1]["message"] == "Trial has failed: its process exited with 1: out of luck"
    apply(service, "silent", spec("print('accuracy=1')", maxFailedTrialCount=1))
    status = finish(service, "silent")
    assert reason(status, "Failed") == "ExperimentFailed" and status["trialMetricsUnavailable"] == 1
    assert reason(trials(service, "silent")[0]["status"], "MetricsUnavailable") == "MetricsUnavailable"
    again = "import os, pathlib; p = pathlib.Path(os.environ['STATE_DIR'], os.environ['KATIB_TRIAL_NAME']); "
    again += "first = not p.exists(); p.touch(); print('loss=1'); raise SystemExit(first)"
    apply(service, "retried", spec(again, job_spec={"backoffLimit": 1}, maxTrialCount=1))
    assert finish(service, "retried")["trialsSucceeded"] == 1
    (one,) = trials(service, "retried")
    names = [each["name"] for each in service.client.logs("trials", one["metadata"]["name"])]
    assert names == ["trial.1.log", "trial.log"]
    slow = "import time; time.sleep(600)"
    apply(service, "late", spec(slow, job_spec={"activeDeadlineSeconds": 1}, maxTrialCount=1, maxFailedTrialCount=1))
    finish(service, "late")
    assert "DeadlineExceeded" in trials(service, "late")[0]["status"]["conditions"][-1]["message"]


def test_medianstop_stops_a_bad_trial(service: Service, tmp_path: Path) -> None:
    code = "import sys, time\nfor i in range(3): print('loss=' + sys.argv[1], flush=True)\n"
    code += "if float(sys.argv[1]) > 50: time.sleep(600)"
    parameters = [{"name": "x", "parameterType": "discrete", "feasibleSpace": {"list": ["1", "2", "3"]}}]
    early = {"algorithmName": "medianstop", "algorithmSettings": [
        {"name": "min_trials_required", "value": "2"}, {"name": "start_step", "value": "2"},
    ]}  # fmt: skip
    given = spec(code, "grid", SEED, parameters=parameters, earlyStopping=early, maxTrialCount=3)
    # The third trial of the grid is the bad one.
    apply(service, "order", given)
    finish(service, "order")
    last = trials(service, "order")
    order = {each["metadata"]["name"]: each["spec"]["parameterAssignments"][0]["value"] for each in last}
    names = service.client.get("exp", "order")["status"]["succeededTrialList"]
    bad = order[names[2]] if len(names) == 3 else next(iter(set(order.values()) - {order[name] for name in names}))
    parameters[0]["feasibleSpace"]["list"] = ["100" if each == bad else each for each in ("1", "2", "3")]
    apply(service, "median", spec(
        code, "grid", SEED, parameters=parameters, earlyStopping=early, maxTrialCount=3, maxFailedTrialCount=1
    ))  # fmt: skip
    status = finish(service, "median")
    assert reason(status, "Succeeded") == "ExperimentMaxTrialsReached"
    assert (status["trialsSucceeded"], status["trialsEarlyStopped"]) == (2, 1)
    (stopped,) = [each for each in trials(service, "median") if reason(each["status"], "EarlyStopped")]
    assert stopped["spec"]["earlyStoppingRules"][0]["comparison"] == "greater"
    assert stopped["status"]["observation"]["metrics"][0]["latest"] == "100"


def test_files_and_event_files_have_metrics_too(service: Service) -> None:
    code = 'import sys, pathlib; pathlib.Path(sys.argv[3]).write_text(\'{"loss": "0.25"}\\n\')'
    given = spec(code, maxTrialCount=1, metricsCollectorSpec={
        "collector": {"kind": "File"}, "source": {"fileSystemPath": {"path": "/katib/m.json", "format": "JSON"}},
    })  # fmt: skip
    given["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["args"].append("/katib/m.json")
    apply(service, "file", given)
    assert finish(service, "file")["currentOptimalTrial"]["observation"]["metrics"][0]["latest"] == "0.25"
    code = (
        "import sys, tensorboardX; w = tensorboardX.SummaryWriter(sys.argv[3]); w.add_scalar('loss', 0.5, 1); w.close()"
    )
    given = spec(code, maxTrialCount=1, metricsCollectorSpec={"collector": {"kind": "TensorFlowEvent"}})
    container = given["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
    container["command"].remove("-S")
    container["args"].append("/var/log/katib/tfevent/")
    apply(service, "events", given)
    assert finish(service, "events")["currentOptimalTrial"]["observation"]["metrics"][0]["latest"] == "0.5"


def test_a_killed_service_runs_trials_again_and_counts_none_twice(service: Service, tmp_path: Path) -> None:
    gate, client = tmp_path / "gate", service.client
    code = LOSS + "\nif n > 0:\n    " + WAIT.format(str(gate)).replace("\n", "\n    ")
    given = spec(code, "tpe", SEED, maxTrialCount=6, parallelTrialCount=2, resumePolicy="LongRunning")
    apply(service, "killed", given)
    until(lambda: running(service, "killed") == 2, what="two trials run side by side")
    before = trials(service, "killed")
    service.end(signal.SIGKILL)
    service.start()
    until(lambda: running(service, "killed") == 2, what="the same trials run again")
    after = trials(service, "killed")
    assert [each["spec"] for each in after] == [each["spec"] for each in before]
    gate.touch()
    status = finish(service, "killed")
    assert (status["trials"], status["trialsSucceeded"]) == (6, 6)
    # More trials than at first, as its policy allows; the search goes on where it was.
    apply(service, "killed", given | {"maxTrialCount": 8})
    found = client.wait("exp", "killed", lambda each: ended(each) and each["status"]["trials"] == 8, 120)
    assert found and reason(found["status"], "Restarting") == "ExperimentRestarting"
    assert len(values_of(service, "killed")) == 8


def test_a_trial_that_writes_a_lot_does_not_fill_the_disk(service: Service) -> None:
    code = "import sys\nprint('first')\nfor _ in range(40_000): print('x' * 1000)\nprint('loss=1')"
    apply(service, "long", spec(code, maxTrialCount=1))
    assert finish(service, "long")["currentOptimalTrial"]["observation"]["metrics"][0]["latest"] == "1"
    (log,) = (service.state / "kubeflow" / "work").glob("default/trials/long-*/logs/trial.log")
    until(lambda: log.stat().st_blocks * 512 <= 32 << 20, what="its middle is removed")
    (name,) = [each["metadata"]["name"] for each in trials(service, "long")]
    begin, end = service.client.log("trials", name, "trial.log")
    assert begin.startswith(b"first\nxxx") and end == 1 << 20
    rest, _ = service.client.log("trials", name, "trial.log", end)
    assert "bytes of this log were removed" in rest.decode().splitlines()[1]
    last, end = service.client.log("trials", name, "trial.log", -8)
    assert (last, end) == (b"\nloss=1\n", log.stat().st_size)
