"""The tier's run as a pipeline of Kubeflow, and `bin/pantheon pipeline`, on persephone and Kubeflow's service alone."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.agreement import differences
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.waiting import until

pytestmark = pytest.mark.slow

TIERS = ROOT / "tests" / "support" / "kubeflow_tier"
FLOWS = ROOT / "tests" / "support" / "pipelines_inside" / "flows.py"
WORKFLOW = ROOT / ".pantheon" / "envs" / "workflow" / "bin" / "python"


@pytest.fixture(scope="module")
def tentacle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path_factory.mktemp("pipelines") / "home")
    made.settings["PANTHEON_TIERS"] = str(TIERS)
    try:
        made("up", "tentacle", "--no-run")
        yield made
    finally:
        made("destroy", "--confirm", "yes")
        assert_nothing_left(made.home)


def graph(state: Path) -> Path:
    """Run the workflow as the graph does; return the folder of the run."""
    done = subprocess.run(
        [str(WORKFLOW), "-P", "-m", "pantheon.worker", "run", "--dataset", "robots", "--params", '{"trials": 2}'],
        env={**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return state / "runs" / str(next(event["run"] for event in events if event["event"] == "run"))


def test_a_run_is_a_pipeline_with_the_results_of_the_graph(tentacle: Pantheon) -> None:
    outcome = tentacle("run", "--trials", "2", "--json").json
    assert outcome["decision"] == "promoted" and outcome["version"] == "1"
    ours, theirs = tentacle.state / "runs" / outcome["run"], graph(tentacle.state)
    for file in ("metrics.json", "selection.json", "tuning.json"):
        one, other = (json.loads((run / file).read_text()) for run in (ours, theirs))
        for report in (one, other):
            for family in report.get("families", {}).values() if isinstance(report.get("families"), dict) else ():
                family.pop("seconds", None)
        assert list(differences(one, other)) == [], file
    name = f"workflow-{outcome['run']}"
    found = tentacle("pipeline", "show", name, "--json").json
    steps = {step["name"]: step for step in found["status"]["steps"]}
    assert steps["deploy"]["state"] == "done" and steps["refuse"]["state"] == "skipped"
    assert {f"candidate-{place}" for place in range(4)} <= set(steps)
    kinds = {artifact["type"] for artifact in found["status"]["artifacts"]}
    assert kinds >= {"Dataset", "Model", "Metrics", "HTML"}
    assert "train done" in tentacle("pipeline", "logs", name, "train").out
    assert name in tentacle("pipeline", "list").out

    again = tentacle("run", "--trials", "2", "--seed", "7", "--json").json
    rows = tentacle("pipeline", "compare", name, f"workflow-{again['run']}", "--json").json
    assert {row["name"] for row in rows if row["of"] == "parameter"} == {"run", "seed"}
    assert any(row["name"] == "performance-metrics · roc_auc" for row in rows)


def test_ctrl_c_leaves_the_run_to_kubeflow_and_resume_follows_it(tentacle: Pantheon) -> None:
    before = set((tentacle.state / "runs").glob("2*"))
    child = tentacle.popen("run", "--trials", "3")
    until(lambda: set((tentacle.state / "runs").glob("2*")) - before, 120, what="the run has begun")
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and "Kubeflow continues the run." in said
    (run,) = set((tentacle.state / "runs").glob("2*")) - before
    assert tentacle("run", "--resume", run.name, "--json").json["run"] == run.name
    refused = tentacle("run", "--resume", "20200101-000000-abcd", check=False)
    assert refused.status == 2 and "there is no run" in refused.err


def test_a_users_pipeline_runs_from_its_file(tentacle: Pantheon, tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    folder.mkdir()
    flow = ("--function", "everything")
    done = tentacle("pipeline", "run", str(FLOWS), f"folder={folder}", "n=2", *flow, "--json").json
    assert done["status"]["parameters"]["n"] == 2
    tentacle("pipeline", "compile", str(FLOWS), *flow, "--output", str(tmp_path / "every.yaml"))
    failed = tentacle("pipeline", "run", str(tmp_path / "every.yaml"), f"folder={folder}", "times=99", check=False)
    assert failed.status == 1 and "The step flaky failed: ValueError: attempt" in failed.err
    wrong = tentacle("pipeline", "run", str(tmp_path / "every.yaml"), "fold=x", check=False)
    assert wrong.status == 2 and "spec.parameters.fold: is not a parameter" in wrong.err
    soaked = tentacle("pipeline", "soak", "3", str(tmp_path / "every.yaml"), f"folder={folder}", "--json").json
    assert soaked["runs"] == 3 and soaked["failed"] == {} and soaked["memory"] > 0
