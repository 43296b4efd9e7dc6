"""Pipelines by the real service: the workflow equals the graph's run, users' pipelines, faults, kill -9."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines.local import environments
from pantheon.kubeflow.client import Failed
from pantheon.kubeflow.katib import eventfiles
from pantheon.kubeflow.pipelines import kinds
from pantheon.kubeflow.pipelines.stub import stubbed
from pantheon.workflow.run import Run
from tests.support import ROOT
from tests.support.kubeflow import Service, ended, manifest
from tests.support.pipelines_inside import offline
from tests.support.training import stages
from tests.support.waiting import until

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
FLOWS = ROOT / "tests" / "support" / "pipelines_inside" / "flows.py"
OFFLINE = "tests.support.pipelines_inside.offline"
SECONDS = 300.0


@pytest.fixture(scope="module", autouse=True)
def made_environments() -> None:
    environments.make(["kubeflow", "workflow"])


def compiled(function: str, source: str = "", called: str = "flows.py") -> dict[str, Any]:
    """Compile a pipeline as the command does; return its event."""
    words = ["-m", "pantheon.kubeflow.pipelines.compiling", "--called", called, "--function", function]
    done = subprocess.run(
        [str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", *words], input=source or FLOWS.read_text(),
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    event: dict[str, Any] = json.loads(done.stdout)
    return event


def pipeline(function: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(compiled(function)["yaml"])
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("state"), "pantheon.kubeflow", str(ENVIRONMENTS / "kubeflow/bin/python"))
    made.start(WORKFLOW_ENVIRONMENT=str(ENVIRONMENTS / "workflow"))
    yield made
    if made.process and made.process.poll() is None:
        assert made.end(signal.SIGTERM) == 0
    until(lambda: not made.children(), what="no process of a run is left")


def run(service: Service, name: str, wait: bool = True, **spec: Any) -> dict[str, Any]:
    service.client.apply(manifest(name, kind="PipelineRun", version="pantheon.org/v1", **spec))
    found = service.client.wait("pipelineruns", name, ended, SECONDS) if wait else None
    assert found or not wait, service.output
    return found or {}


def steps(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in found["status"]["steps"]}


def message(found: dict[str, Any], type: str) -> str:
    return next(str(each["message"]) for each in found["status"]["conditions"] if each["type"] == type)


def test_a_pipeline_of_lightweight_components_runs_with_all_that_kfp_offers(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    folder.mkdir()
    spec = pipeline("everything")
    found = run(service, "every", pipelineSpec=spec, parameters={"folder": str(folder), "n": "3"})
    done = steps(found)
    assert ended(found, "Succeeded"), found["status"]
    assert {name for name, step in done.items() if step["state"] == "skipped"} == {"add-2"}
    assert done["flaky"]["attempts"] == 2, "a step that fails is repeated"
    assert done["total"]["inputs"] == {"numbers": [5, 6, 7]}, "a loop over objects, whose results are collected"
    assert done["add-3"]["inputs"] == {"a": 5, "b": 13}
    assert (tmp_path / "tries-goodbye").read_text() == "SUCCEEDED: None"
    artifacts = {each["name"]: each for each in found["status"]["artifacts"]}
    assert artifacts["metrics"]["metadata"]["letters"] == 13
    curves = service.state / "kubeflow" / "tensorboard" / "default" / "pipelineruns" / "every"
    found_curves = [(each.name, float(each.value)) for each in eventfiles.read(curves, ["codes", "write"])]
    assert ("write", 13.0) in found_curves, "the metric letters of the step write"
    assert [value for name, value in found_curves if name == "codes"] == [float(ord(c)) for c in 'it\'s "quoted"']
    assert service.client.log("pipelineruns", "every", artifacts["data"]["file"])[0] == b'it\'s "quoted"'
    assert b"attempt 0 fails" in service.client.log("pipelineruns", "every", "flaky.log")[0]

    cache = service.state / "kubeflow" / "cache" / "default"
    earlier = (cache.stat().st_mtime - 3600,) * 2
    for place in range(2100):
        entry = cache / f"{place:064}.json"
        entry.write_text("{}")
        os.utime(entry, earlier if place else (0, 0))
    again = steps(run(service, "again", pipelineSpec=spec, parameters={"folder": str(folder), "n": 3}))
    assert {name for name, step in again.items() if step.get("cached")} >= {"add", "write", "count", "total"}
    assert not again["flaky"].get("cached") and not again["goodbye"].get("cached")
    assert 2000 <= len(list(cache.iterdir())) < 2010, "the cache is bounded"
    assert not (cache / f"{0:064}.json").exists(), "an entry that nothing has used for long is gone"

    failed = run(service, "failing", pipelineSpec=spec, parameters={"folder": str(folder), "times": 100})
    assert message(failed, "Failed") == "The step flaky failed: ValueError: attempt 5 fails."
    assert steps(failed)["flaky"]["attempts"] == 3
    assert "attempt 5 fails" in (tmp_path / "tries-goodbye").read_text(), "the exit handler gets the reason"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_goes_on_after_the_service_ended_without_repeating_steps(
    service: Service, tmp_path: Path, number: signal.Signals
) -> None:
    name = f"waiting-{number}"
    run(
        service, name, wait=False, pipelineSpec=pipeline("waiting"), parameters={"folder": str(tmp_path)}, caching=False
    )
    until(lambda: (tmp_path / "started").exists(), what="the step runs")
    service.end(number)
    service.start(WORKFLOW_ENVIRONMENT=str(ENVIRONMENTS / "workflow"))
    until(lambda: (tmp_path / "started").read_text() == "xx", what="the step runs again")
    (tmp_path / "go").touch()
    found = service.client.wait("pipelineruns", name, ended, SECONDS)
    assert found and ended(found, "Succeeded"), service.output
    assert steps(found)["add"]["attempts"] == 1


def test_what_steps_have_started_stops_with_their_run_and_is_deleted_with_it(service: Service, tmp_path: Path) -> None:
    parameters = {"folder": str(tmp_path)}
    run(service, "owner", wait=False, pipelineSpec=pipeline("waiting"), parameters=parameters)
    trainer = {"command": ["sleep", "600"], "image": "pantheon/workflow", "numNodes": 1}
    spec = {"runtimeRef": {"name": "plainml-distributed"}, "trainer": trainer}
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": spec}
    for name, owner in (("its", "owner"), ("other", "another")):
        metadata = {"name": name, "labels": {"pantheon/pipeline-run": owner}}
        service.client.apply(json.dumps(job | {"metadata": metadata}).encode())
    until(lambda: (tmp_path / "started").exists(), what="the step runs")
    service.client.act("pipelineruns", "owner", "stop")
    assert kinds.state_of(service.client.follow("pipelineruns", "owner", lambda _: None)) == "stopped"
    until(lambda: ended(service.client.get("trainjobs", "its"), "Suspended"), what="its TrainJob is suspended")
    assert not ended(service.client.get("trainjobs", "other"), "Suspended")
    service.client.delete("pipelineruns", "owner")
    until(lambda: {each["metadata"]["name"] for each in service.client.list("trainjobs")} == {"other"})
    service.client.delete("trainjobs", "other")


def test_a_run_is_stopped_and_resumed_and_its_exit_handler_runs_each_time(service: Service, tmp_path: Path) -> None:
    said, inner = tmp_path.with_name(f"{tmp_path.name}-goodbye"), tmp_path / "inner-goodbye"
    parameters = {"folder": str(tmp_path)}
    run(service, "stops", wait=False, pipelineSpec=pipeline("guarded"), parameters=parameters, caching=False)
    until(lambda: (tmp_path / "started").exists(), what="the step runs")
    service.client.act("pipelineruns", "stops", "stop")
    found = service.client.wait("pipelineruns", "stops", ended, SECONDS)
    assert found and steps(found)["slow"]["state"] == "interrupted" and steps(found)["add"]["state"] == "done"
    assert kinds.state_of(found) == "stopped"
    assert said.read_text() == "CANCELLED: the run was stopped"
    assert not inner.exists(), "nothing in the inner pipeline had begun"
    until(lambda: not service.children(), what="no process is left")
    (tmp_path / "go").touch()
    service.client.act("pipelineruns", "stops", "resume")
    found = service.client.follow("pipelineruns", "stops", lambda _: None)
    assert ended(found, "Succeeded"), found["status"]
    assert steps(found)["slow"]["state"] == "done" and steps(found)["add"]["attempts"] == 1
    assert said.read_text() == inner.read_text() == "SUCCEEDED: None"
    with pytest.raises(Failed, match=r"the run is done\."):
        service.client.act("pipelineruns", "stops", "resume")


def interpreters(service: Service) -> list[int]:
    """Return the Python that steps are forked from, and its forks."""
    known = b"pipelines.interpreter"
    return sorted(pid for pid in service.children() if known in Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.mark.parametrize(("which", "reason"), [(1, "its process was killed"), (0, "the process that runs the steps")])
def test_a_step_that_is_killed_fails_with_the_reason(service: Service, tmp_path: Path, which: int, reason: str) -> None:
    parameters, name = {"folder": str(tmp_path)}, f"killed-{which}"
    run(service, name, wait=False, pipelineSpec=pipeline("guarded"), parameters=parameters, caching=False)
    until(lambda: (tmp_path / "started").exists(), what="the step runs")
    os.kill(interpreters(service)[which], signal.SIGKILL)  # the Python that steps are forked from, or the step
    found = service.client.wait("pipelineruns", name, ended, SECONDS)
    assert found and message(found, "Failed").startswith(f"The step slow failed: {reason}"), found
    said = tmp_path.with_name(f"{tmp_path.name}-goodbye").read_text()
    assert said.startswith(f"FAILED: {reason}"), "the exit handler gets the reason"
    assert steps(found)["goodbye"]["state"] == "done"


def test_nodes_run_in_forks_of_their_runs_python_and_start_again_when_it_is_killed(
    service: Service, bundled: Callable[..., Run], tmp_path: Path
) -> None:
    prepared = bundled("wine", rows=400)
    stages(prepared, "preprocess", "feature_engineering", "feature_selection")
    shutil.copytree(prepared.folder, service.state / "runs" / prepared.id)
    parameters = {"folder": str(tmp_path)}
    run(service, "warm", wait=False, pipelineSpec=pipeline("waiting"), parameters=parameters, caching=False)
    until(lambda: (tmp_path / "started").exists(), what="a step runs")
    spec = {"runtimeRef": {"name": "pantheon-workflow"}, "trainer": {"args": ["--run", prepared.id], "numNodes": 2}}
    metadata = {"name": "forked", "labels": {"pantheon/pipeline-run": "warm"}}
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata, "spec": spec}
    service.client.apply(json.dumps(job).encode())
    until(lambda: len(interpreters(service)) == 6, what="the step, and two nodes with their launchers, are forks")
    os.kill(interpreters(service)[0], signal.SIGKILL)
    found = service.client.wait("trainjobs", "forked", lambda each: ended(each, "Complete", "Failed"), SECONDS)
    assert found and ended(found, "Complete"), service.output
    assert found["status"]["restarts"] == 0, "the nodes have not failed"
    log = service.client.log("trainjobs", "forked", "forked-node-0-1.log")[0].decode()
    assert log.count("forked-node-0-1 starts") == 2 and "trees 60 to 63 of 64 are fitted" in log
    failed = service.client.wait("pipelineruns", "warm", ended, SECONDS)
    assert failed and ended(failed, "Failed")


def test_the_workflow_runs_without_a_network_and_trains_by_a_trainjob(tmp_path: Path) -> None:
    command = ("unshare", "--map-root-user", "--net", sys.executable, "-P", "-m", OFFLINE, str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (job,) = found["jobs"]
    assert job["spec"] == {
        "runtimeRef": {"name": "pantheon-workflow"},
        "trainer": {"numNodes": 2, "args": ["--run", offline.RUN]},
    }
    assert ended(job, "Complete") and job["metadata"]["labels"]["pantheon/pipeline-run"] == "offline"
    assert "random_forest: trees 0 to 3 of" in found["log"]
    assert steps(found["run"])["load-data"].get("attempts") == 1, "a kill of the service repeats no step that is done"
    assert steps(found["run"])["deploy"]["state"] == "done"
    assert all(ended(each, "Succeeded") for each in found["experiments"]) and found["experiments"]
    trees = list((tmp_path / "kubeflow" / "work").rglob("trees-*.joblib"))
    assert trees == [], "the trees are removed when the forests are complete"
    curves = tmp_path / "kubeflow" / "tensorboard" / "default" / "pipelineruns" / "offline"
    names = {"tuning", "folds", "candidate-0", "performance-metrics"}
    assert {each.name for each in eventfiles.read(curves, sorted(names))} == names


def changed(spec: dict[str, Any], **to: Any) -> dict[str, Any]:
    """Return a copy with fields set, by their path with slashes; None removes."""
    copy: dict[str, Any] = json.loads(json.dumps(spec))
    for path, value in to.items():
        *parents, last = path.split("/")
        place = copy
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return copy


def test_what_cannot_run_is_refused_with_the_path_of_the_field(service: Service) -> None:
    spec, given = pipeline("waiting"), {"folder": "/"}
    executor = spec["deploymentSpec"]["executors"]["exec-add"]["container"]
    image = {"image": "alpine", "command": ["echo"]}
    wanted = [*executor["command"]]
    wanted[2] = wanted[2].replace("'kfp==", "'pandas>=9' && python3 -m pip install 'kfp==")
    cases = [
        ({}, given | {"folders": 1}, r"^spec\.parameters\.folders: is not a parameter .* Did you mean 'folder'\?"),
        ({}, {}, r"^spec\.parameters\.folder: is missing: it must be text\."),
        ({}, given | {"seconds": "soon"}, r"^spec\.parameters\.seconds: must be a number, not 'soon'\."),
        (
            {"root/dag/tasks/add/dependentTasks": ["slow"]},
            given,
            r"tasks: the tasks wait for each other: add → slow → add",
        ),
        ({"root/dag/tasks/slow/dependentTasks": ["ad"]}, given, r"tasks\.slow\.dependentTasks: there is no task 'ad'"),
        (
            {"root/dag/tasks/add/componentRef/name": "comp-ad"},
            given,
            r"componentRef\.name: .*Did you mean 'comp-add'\?",
        ),
        ({"root/dag/tasks/add/colour": "red"}, given, r"colour: is not a field of KFP's"),
        ({"deploymentSpec/executors/exec-add/container": image}, given, r"exec-add\.container: .*needs a cluster"),
        (
            {"deploymentSpec/executors/exec-add/container/args": [*executor["args"][:-1], "ad"]},
            given,
            r"no function 'ad'",
        ),
        ({"deploymentSpec/executors/exec-add/container/command": wanted}, given, r"pandas is not among the workflow's"),
        ({"schemaVersion": None}, given, r"schemaVersion: must be 2\.1\.0"),
    ]
    for place, (change, parameters, said) in enumerate(cases):
        with pytest.raises(Failed, match=said) as refused:
            run(service, f"bad-{place}", pipelineSpec=changed(spec, **change), parameters=parameters)
        assert refused.value.code == 422
    for bad in ({"pipelineRef": {"name": "workflow"}, "pipelineSpec": spec}, {}, {"pipelineSpec": spec, "atOnce": 0}):
        with pytest.raises(Failed, match=r"^spec\.(pipelineRef|atOnce): "):
            run(service, "bad", **bad)
    missing = run(service, "missing", pipelineRef={"name": "nobody"})
    assert message(missing, "Failed").startswith("spec.pipelineRef: there is no pipeline 'nobody'.")


def test_versions_of_a_pipeline_run_by_name_and_on_a_schedule(service: Service, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    kfp = {"kind": "PipelineVersion", "version": "pipelines.kubeflow.org/v2beta1"}
    service.client.apply(manifest("naps-1", pipelineName="naps", pipelineSpec=pipeline("waiting"), **kfp))
    spec = {"pipelineRef": {"name": "naps"}, "parameters": {"folder": str(tmp_path)}}
    trigger = {"periodicSchedule": {"intervalSecond": 1}}
    often = spec | {"trigger": trigger, "historyLimit": 2}
    service.client.apply(manifest("often", kind="RecurringRun", version="pantheon.org/v1", **often))

    def ran() -> list[dict[str, Any]]:
        runs = service.client.list("pipelineruns")
        return [each for each in runs if each["metadata"]["name"].startswith("often-") and ended(each, "Succeeded")]

    def lasts(name: str) -> str:
        return str(service.client.get("recurringruns", name)["status"].get("lastRun", ""))

    until(lambda: len(ran()) >= 2, 120, what="two runs have started by themselves")
    first = ran()[0]["metadata"]["name"]
    until(lambda: first not in {each["metadata"]["name"] for each in ran()}, 120, what="the oldest run is deleted")
    assert len(ran()) >= 2
    service.client.act("recurringruns", "often", "suspend")
    cron = {"cronSchedule": {"cron": "*/5 0-23 * * sun,mon-sat", "startTime": "2026-01-31T14:01:00Z"}}
    service.client.apply(manifest("fives", kind="RecurringRun", version="pantheon.org/v1", trigger=cron, **spec))
    until(lambda: lasts("fives"), 60, what="the newest time that was missed is made up for")
    assert re.fullmatch(r"fives-\d{10}[0-5][05]00", lasts("fives"))
    service.client.delete("recurringruns", "fives")
    assert all(each["status"]["pipeline"] == "waiting" for each in ran())
    with pytest.raises(Failed, match=r"cron: 'noon' is not a cron expression"):
        bad = {"cronSchedule": {"cron": "noon"}}
        service.client.apply(manifest("bad", kind="RecurringRun", version="pantheon.org/v1", trigger=bad, **spec))
    service.client.delete("recurringruns", "often")


def test_mistakes_in_a_file_are_named_with_the_line() -> None:
    head = "from kfp import dsl\n"
    cases = [
        (FLOWS.read_text(), "nothing", "nothing"),
        (head + "\ndef p(:\n", "p", "mine1.py, line 3: invalid syntax."),
        (head + "1 / 0\n", "", "mine2.py, line 2: ZeroDivisionError: division by zero."),
        (head + "\n@dsl.component\ndef f(a):\n    pass\n", "", "mine3.py, line 3: TypeError: Missing type annotation"),
        (FLOWS.read_text(), "", "mine4.py: "),
    ]
    code = (
        "import json, sys\nfrom pantheon.errors import PantheonError\n"
        "from pantheon.kubeflow.pipelines.compiling import compiled\n"
        "for place, (source, function, _) in enumerate(json.load(sys.stdin)):\n"
        "    try:\n        print(json.dumps(compiled(source, f'mine{place}.py', function)[0]))\n"
        "    except PantheonError as error:\n        print(json.dumps(error.cause))\n"
    )
    done = subprocess.run(
        [str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", "-c", code],
        input=json.dumps(cases),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(cases), done.stderr
    for line, (_, _, wanted) in zip(said, cases, strict=True):
        assert wanted in line


def test_the_compiled_workflow_is_that_of_its_source(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from pantheon.kubeflow.pipelines.workflow import compile_workflow as c; "
        "c(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run(
        [str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", "-W", "ignore", "-c", code, str(tmp_path / "fresh.yaml")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    kept = ROOT / "pantheon/kubeflow/pipelines/workflow.yaml"
    cure = "compile it: python -m pantheon.kubeflow.pipelines.workflow, in the environment kubeflow"
    assert kept.read_text() == (tmp_path / "fresh.yaml").read_text(), cure


def test_a_stub_in_place_of_the_model_proves_the_logic_of_the_workflow(service: Service) -> None:
    workflow = yaml.safe_load((ROOT / "pantheon/kubeflow/pipelines/workflow.yaml").read_text())
    parameters = {"trials": 1, "folds": 2, "tuning_rows": 500}
    ids = {True: "20260131-142500-0a1b", False: "20260131-142600-0a1b"}
    for accurate, run_id in ids.items():
        found = run(
            service,
            f"stub-{accurate}".lower(),
            pipelineSpec=stubbed(workflow, accurate),
            parameters=parameters | {"run": run_id},
        )
        assert ended(found, "Succeeded"), found["status"]["conditions"]
        states = {name: step["state"] for name, step in steps(found).items()}
        outcome = json.loads((service.state / "runs" / run_id / "outcome.json").read_text())
        taken = ("deploy", "refuse") if accurate else ("refuse", "deploy")
        assert [states[name] for name in taken] == ["done", "skipped"]
        assert outcome["decision"] == ("promoted" if accurate else "refused")
        assert steps(found)["finish"]["state"] == "done"
    versions = [path.name for path in (service.state / "models" / "robots").iterdir() if path.name.isdecimal()]
    assert versions == ["1"], "the inaccurate one was not published"
