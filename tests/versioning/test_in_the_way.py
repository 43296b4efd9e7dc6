"""What may be in the way of recording a run: the user's own work, a kill, a store that is away. Nothing is lost."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pantheon import versioning
from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from pantheon.versioning import bring, pipeline
from pantheon.versioning.git import Git
from pantheon.workflow.run import Params, Run, write_json
from tests.conftest import ROOT
from tests.store.servers import free_ports
from tests.versioning.conftest import SPEC, Deployment, everything

pytestmark = pytest.mark.slow


def detached(git: Git) -> None:
    git("checkout", "-q", "--detach")


def merging(git: Git) -> None:
    for branch, text in (("theirs", "one\n"), ("main", "two\n")):
        git("switch", "-q", *(["-c"] if branch == "theirs" else []), branch)
        (git.folder / "notes.txt").write_text(text)
        git("add", "notes.txt")
        git("commit", "-q", "-m", f"notes of {branch}")
    assert not git.ok("merge", "theirs")


def edited(git: Git) -> None:
    params = git.folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 42", "seed: 7"))


def staged(git: Git) -> None:
    (git.folder / "mine.txt").write_text("mine")
    git("add", "mine.txt")


def strange(git: Git) -> None:
    (git.folder.parents[1] / "extensions" / "later.py").write_text("# the deployment's\n")
    (git.folder / "extensions" / "later.py").write_text("# mine, in no commit\n")


def without_a_stage(git: Git) -> None:
    path = git.folder / "dvc.yaml"
    git("switch", "-q", "-c", "mine")
    path.write_text(path.read_text().replace("  evaluate:", "  judge:"))
    git("commit", "-q", "-am", "evaluate is called judge")


@pytest.mark.parametrize(
    ("what", "cause", "cure"),
    [
        (detached, "it is on no branch", "git switch main"),
        (merging, "a merge is not finished", "Finish or abort it"),
        (edited, "not committed: params.yaml", "git stash"),
        (staged, "not committed: mine.txt", "git stash"),
        (strange, "extensions/later.py is in no commit", "git add extensions/later.py"),
        (without_a_stage, "its dvc.yaml has no stage evaluate", "git switch BRANCH"),
    ],
)
def test_the_users_work_is_named_and_left_alone(
    light: Deployment, clean: Git, what: Callable[[Git], None], cause: str, cure: str, request: pytest.FixtureRequest
) -> None:
    run = Run(light.state / "runs" / "20260101-000000-0009")
    run = run if run.folder.exists() else light.finished(run.id)
    what(clean)
    before = (everything(light), clean.head(), clean("status", "--porcelain"))
    with pytest.raises(PantheonError, match=re.escape(cause)) as error:
        versioning.record(run)
    assert cure in error.value.cure and f"bin/pantheon run --resume {run.id}" in error.value.cure
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == before
    assert not run.path("version_control.json").exists()
    if what is strange:
        (light.main / "extensions" / "later.py").unlink()
        (light.state / "extensions" / "later.py").unlink()


def test_a_store_that_is_away_is_said_and_the_run_goes_on_later(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # by default DVC's S3 tries for ten seconds and more
    run = light.finished("20260101-000000-0003")
    before, head = everything(light), clean.head()
    try:
        light.point(f"http://127.0.0.1:{free_ports(1)[0]}")
        with pytest.raises(PantheonError, match="the S3 store does not answer") as error:
            versioning.record(run)
    finally:
        light.point(light.server.endpoint)
    assert "testsecret" not in str(error.value)
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == (before, head, "")
    commit = versioning.record(run)["commit"]
    assert commit == clean("rev-parse", f"run/{run.id}") == clean.head() != head


def test_a_branch_and_a_pipeline_of_the_users_are_kept(light: Deployment, clean: Git) -> None:
    """What they have committed is theirs: a stage more, a parameter more, a branch; the run is recorded there."""
    clean("switch", "-q", "-c", "idea")
    pipe, params = light.main / "dvc.yaml", light.main / "params.yaml"
    mine = "  mine:\n    cmd: cp scores.json mine.json\n    deps: [scores.json]\n    outs: [mine.json]\n"
    pipe.write_text(pipe.read_text().replace("\nplots:\n", f"{mine}\nplots:\n"))
    params.write_text(params.read_text() + "mine:\n  size: 3\n")
    clean("commit", "-q", "-am", "a stage of mine")
    text = pipe.read_text()
    found = versioning.record(light.finished("20260101-000000-0002"))
    assert (found["branch"], clean.branch(), pipe.read_text()) == ("idea", "idea", text)
    assert pipeline.parse(params.read_text(), "")["mine"] == {"size": 3}
    assert clean("status", "--porcelain") == ""
    assert clean("merge-base", "main", "idea") == clean("rev-parse", "main")


KILLED = """
import os, signal, sys
from pathlib import Path
from pantheon import versioning
from pantheon.versioning import bring
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.workflow.run import Run
step, run = sys.argv[1:]
def killing(call, wanted):
    def wrapped(*words, **more):
        found = call(*words, **more)
        if wanted(words):
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return wrapped
if step == "bring":
    bring.outputs = killing(bring.outputs, lambda words: True)
elif step.startswith("dvc"):
    Dvc.__call__ = killing(Dvc.__call__, lambda words: words[1] == step[4:])
else:
    Git.__call__ = killing(Git.__call__, lambda words: words[1] == step[4:])
versioning.record(Run(Path(run)))
"""


STEPS = ("bring", "dvc commit", "git commit")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_next_call_goes_on(light: Deployment, clean: Git, step: str) -> None:
    run = light.finished(f"20260101-000010-000{STEPS.index(step)}")
    before = light.commits()
    done = subprocess.run(
        [sys.executable, "-P", "-c", KILLED, step, str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -9
    assert not run.path("version_control.json").exists()
    found = versioning.record(run)
    assert clean("status", "--porcelain") == ""
    assert light.commits() == [f"robots: run {run.id}, roc_auc 0.9", *before]
    assert found["commit"] == clean("rev-parse", f"run/{run.id}") == clean.head()


def test_two_runs_at_once_wait_for_each_other(light: Deployment, clean: Git) -> None:
    runs = [light.finished(f"20260101-000100-000{number}") for number in range(2)]
    before, found = len(light.commits()), dict[str, dict[str, Any]]()
    threads = [
        threading.Thread(target=lambda run=run: found.update({run.id: versioning.record(run)}))  # type: ignore[misc]
        for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(light.commits()) == before + 2 and clean("status", "--porcelain") == ""
    for run in runs:
        saved = clean("show", f"{found[run.id]['commit']}:run.json")
        assert json.loads(saved)["id"] == run.id


def test_a_users_own_file_is_kept_as_the_run_has_read_it(light: Deployment, clean: Git) -> None:
    file = light.state / "data" / "my robots.csv"
    whole = b"robot-id,rust\n1,2\n"
    file.write_bytes(whole)
    spec = SPEC.replace('kind = "generator"', 'kind = "file"').replace(
        'name = "robots"\nrows', 'path = "my robots.csv"\nrows'
    )
    assert 'path = "my robots.csv"' in spec
    run = light.finished("20260101-000200-0000", spec)
    write_json(run.path("reports/load_data.json"), {"sha256": hashlib.sha256(whole).hexdigest()})
    file.write_bytes(whole + b"3,4\n")
    before, head = everything(light), clean.head()
    with pytest.raises(PantheonError, match="is not the file any more that run 20260101-000200-0000 has loaded"):
        versioning.record(run)
    assert (everything(light), clean.head()) == (before, head)
    file.write_bytes(whole)
    found = versioning.record(run)
    source = light.main / "data" / "source" / "my robots.csv"
    assert source.read_bytes() == whole and found["files"]["data/source"].endswith(".dir")
    assert file.stat().st_mode & 0o200 and not source.stat().st_mode & 0o200
    file.write_bytes(b"written over in place")  # no link of ours leads to it
    assert source.read_bytes() == whole
    assert not [name for name in clean.files() if name.endswith(".csv")]


def test_pycarets_stages_are_recorded_as_such(light: Deployment, clean: Git) -> None:
    """DVC does not pretend that it can repeat them; what an older Pantheon has not written is left out."""
    run = light.finished("20260101-000300-0000")
    shutil.rmtree(run.path("curves"))
    write_json(run.path("pycaret/options.json"), {"train": {"include": ["gbc"]}})
    run.mark("train", **{k: v for k, v in run.stages()["train"].items() if k != "stage"} | {"by": "PyCaret"})
    (run.path("evaluation") / "chosen.onnx").write_bytes(b"onnx")
    found = versioning.record(run)
    assert "curves" not in found["files"] and not (light.main / "curves").exists()
    assert "gbc" in clean("show", f"{found['commit']}:pycaret/options.json")
    assert (light.main / "evaluation" / "chosen.onnx").read_bytes() == b"onnx"
    done = subprocess.run(
        [ROOT / "pantheon/versioning/bin/pantheon-stage", "train"],
        cwd=light.main,
        env=light.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and "train was done by PyCaret" in done.stderr and "Traceback" not in done.stderr


def test_a_version_of_an_earlier_tier_says_what_is_known(
    light: Deployment, first: dict[str, Any], tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"onnx")
    data = {"name": "robots", "sha256": "0123456789abcdef"}
    version = store.publish("robots", tmp_path / "bundle", {"run": "20250101-000000-0000", "data": data})
    with pytest.raises(
        PantheonError, match=r"before DVC kept data .*run 20250101-000000-0000, data robots with sha256 0123"
    ):
        versioning.checkout(light.state, store, "robots", version)


def test_the_launcher_says_where_dvc_is(light: Deployment, tmp_path: Path) -> None:
    assert "no deployment here" in light.dvc("repro", folder=tmp_path, check=False)
    write_json(tmp_path / "state" / "deployment.json", {"tier": "zeus", "engine": "local"})
    assert "make tier-odysseus up" in light.dvc("repro", folder=tmp_path, check=False)
    from pantheon.cli import versioning as verbs

    assert verbs.within(light.state, light.main / "data") == Path("repositories/main/data")
    assert verbs.within(light.state, tmp_path) == Path("repositories/main")
    assert not versioning.enabled(tmp_path)
    assert versioning.record(Run(tmp_path / "runs" / "20260101-000000-0000")) == {}


def test_parameters_in_groups(tmp_path: Path) -> None:
    path, params = tmp_path / "params.yaml", Params(trials=3, metric="f1", time_limit=60.0)
    path.write_text(pipeline.params_text(params))
    assert pipeline.read_params(path) == params
    assert pipeline.params_text(params, path.read_text()) == path.read_text()
    path.write_text("train: {trials: many}\n")
    with pytest.raises(PantheonError, match="trials must be a whole number"):
        pipeline.read_params(path)


def test_what_is_linked_is_the_same_and_what_cannot_be_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    bring.link(source, tmp_path / "a" / "linked")
    bring.copy(source, tmp_path / "b" / "copied")
    assert (tmp_path / "a" / "linked").samefile(source) and not (tmp_path / "b" / "copied").samefile(source)
    assert (tmp_path / "b" / "copied").read_bytes() == source.read_bytes()
