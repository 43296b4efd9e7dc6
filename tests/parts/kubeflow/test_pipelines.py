"""Pipelines by the real service: the workflow equals the graph's run, users' pipelines, faults, kill -9."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines.local import environments
from pantheon.kubeflow.client import Failed
from pantheon.kubeflow.pipelines.stub import stubbed
from tests.support import ROOT
from tests.support.kubeflow import Service, ended, manifest
from tests.support.waiting import until

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
FLOWS = ROOT / "tests" / "support" / "pipelines_inside" / "flows.py"
SECONDS = 300.0


@pytest.fixture(scope="module", autouse=True)
def made_environments() -> None:
    environments.make(["kubeflow", "workflow"])


def compiled(function: str, source: str = "", called: str = "flows.py") -> dict[str, Any]:
    """Compile a pipeline as the command does; return its event."""
    done = subprocess.run(
        [
            str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", "-m", "pantheon.kubeflow.pipelines.compiling",
            "--called", called, "--function", function,
        ],
        input=source or FLOWS.read_text(),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
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
    assert artifacts["metrics"]["metadata"] == {"letters": 13}
    assert service.client.log("pipelineruns", "every", artifacts["data"]["file"])[0] == b'it\'s "quoted"'
    assert b"attempt 0 fails" in service.client.log("pipelineruns", "every", "flaky.log")[0]

    again = steps(run(service, "again", pipelineSpec=spec, parameters={"folder": str(folder), "n": 3}))
    assert {name for name, step in again.items() if step.get("cached")} >= {"add", "write", "count", "total"}
    assert not again["flaky"].get("cached") and not again["goodbye"].get("cached")

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


def test_a_run_is_stopped_and_resumed(service: Service, tmp_path: Path) -> None:
    run(service, "stops", wait=False, pipelineSpec=pipeline("waiting"), parameters={"folder": str(tmp_path)})
    until(lambda: (tmp_path / "started").exists(), what="the step runs")
    service.client.act("pipelineruns", "stops", "stop")
    found = service.client.wait("pipelineruns", "stops", ended, SECONDS)
    assert found and steps(found)["slow"]["state"] == "interrupted"
    until(lambda: not service.children(), what="no process is left")
    (tmp_path / "go").touch()
    service.client.act("pipelineruns", "stops", "resume")
    found = service.client.wait("pipelineruns", "stops", lambda run: ended(run, "Succeeded"), SECONDS)
    assert found and steps(found)["slow"]["state"] == "done"
    with pytest.raises(Failed, match=r"the run is done\."):
        service.client.act("pipelineruns", "stops", "resume")


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
    service.client.apply(manifest("often", kind="RecurringRun", version="pantheon.org/v1", trigger=trigger, **spec))

    def ran() -> list[dict[str, Any]]:
        runs = service.client.list("pipelineruns")
        return [each for each in runs if each["metadata"]["name"].startswith("often-") and ended(each, "Succeeded")]

    until(lambda: len(ran()) >= 2, 120, what="two runs have started by themselves")
    service.client.act("recurringruns", "often", "suspend")
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
