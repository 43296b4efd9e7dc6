"""Tasks in pods: input, output, exit status, signals, and that no task outlives its command.

`kubectl exec` runs the pod's side on this machine, so both sides and what they say to each other are the real ones.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pantheon.engines.helm import task
from pantheon.errors import PantheonError
from tests.support import ROOT
from tests.support.kubectl import FakeKubectl, kubectl
from tests.support.waiting import until

__all__ = ["kubectl"]
OWNER: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "workflow", "uid": "1"},
    "spec": {
        "jobTemplate": {
            "spec": {
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/component": "workflow", "pantheon/inside": "yes"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "initContainers": [{"name": "prepare"}, {"name": "migrate"}],
                        "containers": [
                            {"name": "workflow", "args": ["x"], "ports": [], "livenessProbe": {}, "lifecycle": {}}
                        ],
                    },
                }
            }
        }
    },
}
POD = {
    "metadata": {"name": "task-1", "creationTimestamp": "2026-11-30T10:00:00Z"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


class Ran:
    """What a task printed, and its exit status."""

    def __init__(self, kubectl: FakeKubectl, folder: Path, *command: str, **given: Any) -> None:
        self.out: list[str] = []
        self.errors: list[str] = []
        kubectl.answers(get_pods=json.dumps({"items": [POD]}), create='{"metadata": {"name": "task-1"}}')
        on_lines = self.out.append, self.errors.append
        environment = given.pop("environment", {})
        self.status = task.run(
            kubectl.kube(), OWNER, "workflow", command, environment, on_lines, folder / "workflow.log", **given
        )


def python(text: str) -> tuple[str, ...]:
    return ("python", "-S", "-c", text)


def test_output_errors_and_status_are_those_of_the_task(kubectl: FakeKubectl, tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WHO']); print('no', file=sys.stderr); sys.exit(7)"
    ran = Ran(kubectl, tmp_path, *python(code), environment={"WHO": "you"})
    assert (ran.out, ran.errors, ran.status) == (["you"], ["no"], 7)
    assert sorted((tmp_path / "workflow.log").read_text().split()) == ["no", "you"]


def test_input_arrives_whole_and_ends(kubectl: FakeKubectl, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    with (tmp_path / "copy").open("wb") as copy:
        code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
        ran = Ran(kubectl, tmp_path, *python(code), input=content, output=copy.fileno())
    assert (ran.status, (tmp_path / "copy").read_bytes() == content) == (0, True)


def test_a_task_without_input_reads_nothing(kubectl: FakeKubectl, tmp_path: Path) -> None:
    assert Ran(kubectl, tmp_path, *python("import sys; print(len(sys.stdin.read()))")).out == ["0"]


def test_a_task_that_a_signal_ended_and_one_that_does_not_exist(kubectl: FakeKubectl, tmp_path: Path) -> None:
    assert Ran(kubectl, tmp_path, *python("import os; os.kill(os.getpid(), 9)")).status == 137
    missing = Ran(kubectl, tmp_path, "no-such-program")
    assert missing.status == 127
    assert "cannot be started" in missing.errors[0]


def test_ctrl_c_reaches_the_task_which_may_still_clean_up(kubectl: FakeKubectl, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "def end(*_): os.write(1, b'cleaned up'); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, end); print('begun', flush=True); time.sleep(60)"
    )
    out: list[str] = []

    def line(text: str) -> None:
        out.append(text)
        if text == "begun":
            os.kill(os.getpid(), signal.SIGINT)

    kubectl.answers(get_pods=json.dumps({"items": [POD]}))
    with pytest.raises(KeyboardInterrupt):
        task.run(kubectl.kube(), OWNER, "workflow", python(code), {}, (line, line), tmp_path / "workflow.log")
    assert out == ["begun", "cleaned up"]


def test_a_task_ends_with_its_killed_command(kubectl: FakeKubectl, tmp_path: Path) -> None:
    kubectl.answers(get_pods=json.dumps({"items": [POD]}))
    pid_file = tmp_path / "pid"
    inside = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "import sys; from pathlib import Path; from tests.support.kubectl import FakeKubectl\n"
        "from tests.parts.engines.helm.test_task import OWNER, python; from pantheon.engines.helm import task\n"
        f"task.run(FakeKubectl(Path({str(kubectl.folder)!r})).kube(), OWNER, 'workflow', python({inside!r}), {{}},"
        f" (print, print), Path({str(tmp_path)!r}) / 'log')"
    )
    command = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until(lambda: pid_file.exists() and pid_file.read_text())
    command.kill()
    command.wait()
    pid = int(pid_file.read_text())
    until(lambda: not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_busy_pod_is_left_alone_and_another_one_is_made(kubectl: FakeKubectl, tmp_path: Path) -> None:
    held = subprocess.Popen(["flock", kubectl.folder / "pantheon-task.lock", "sleep", "60"])
    try:
        until(lambda: (kubectl.folder / "pantheon-task.lock").exists())
        with pytest.raises(PantheonError, match="busy"):
            Ran(kubectl, tmp_path, *python("print(1)"))
    finally:
        held.kill()
        held.wait()
    assert sum("create" in call for call in kubectl.calls) == 3


def test_the_pod_of_a_task_has_the_services_definition_and_gets_no_requests_for_it() -> None:
    job = task.job_of(OWNER, "workflow")
    template = job["spec"]["template"]
    assert template["spec"]["initContainers"] == [{"name": "prepare"}]
    assert template["spec"]["containers"][0].keys() == {"name", "command"}
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "workflow-task"
    assert template["metadata"]["labels"]["pantheon/inside"] == "yes"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "1"


def test_a_lost_connection_says_why(kubectl: FakeKubectl, tmp_path: Path) -> None:
    gone = {**POD, "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}}
    kubectl.answers(get_pod=json.dumps(gone))
    with pytest.raises(PantheonError, match="Evicted: The node was low on memory"):
        Ran(kubectl, tmp_path, *python("import os; os.kill(os.getppid(), 9)"))


def test_a_pod_that_ended_for_want_of_a_task_just_before_this_one_is_replaced(
    kubectl: FakeKubectl, tmp_path: Path
) -> None:
    done = {"containerStatuses": [{"name": "workflow", "state": {"terminated": {"exitCode": 0}}}]}
    kubectl.answers(get_pod=json.dumps({**POD, "status": {"phase": "Succeeded", **done}}))
    with pytest.raises(PantheonError, match="busy"):  # the new ones have ended, too
        Ran(kubectl, tmp_path, *python("import os; os.kill(os.getppid(), 9)"))
    assert sum("create" in call for call in kubectl.calls) == 3
