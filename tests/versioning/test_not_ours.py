"""While a run is recorded, and after a cut: what is somebody's own is neither lost nor recorded as ours."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pantheon import versioning
from pantheon.cli.workflow import interrupted_words
from pantheon.errors import PantheonError
from pantheon.versioning import bring, pipeline
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.workflow.run import Params
from tests.conftest import ROOT
from tests.versioning.conftest import Deployment, everything

pytestmark = pytest.mark.slow


def at(monkeypatch: pytest.MonkeyPatch, verb: str, act: Callable[[], None], *, fail: bool = False) -> None:
    """Have ``act`` done when the recording calls ``dvc VERB``, which then works, or fails."""
    real = Dvc.__call__

    def call(dvc: Dvc, *words: str) -> None:
        if words[0] == verb:
            act()
            if fail:
                raise PantheonError(f"dvc {verb} failed")
        real(dvc, *words)

    monkeypatch.setattr(Dvc, "__call__", call)


# Files in no cache ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data/source/mine.csv", "plots/my-notes.png"])
def test_a_file_of_the_users_where_data_goes_stays_and_the_cure_keeps_it(
    light: Deployment, clean: Git, name: str
) -> None:
    run = light.finished(f"20260102-000000-000{len(name)}")
    mine = light.main / name
    mine.write_text(f"my {name}")
    before, head = everything(light), clean.head()
    with pytest.raises(PantheonError, match=f"{name} is not in DVC's cache") as error:
        versioning.record(run)
    assert (everything(light), clean.head()) == (before, head)
    cure = re.search(r"keep it: (.*)\. Then", error.value.cure)
    assert cure
    subprocess.run(["bash", "-ec", cure[1]], env=light.environment, check=True, capture_output=True)
    kept = clean.head()
    versioning.record(run)
    assert not mine.exists() and clean("status", "--porcelain") == ""
    clean("checkout", "-q", kept)
    light.dvc("checkout")
    assert mine.read_text() == f"my {name}"
    clean("switch", "-q", "main")
    light.dvc("checkout")


def test_a_link_to_a_folder_of_the_users_is_not_replaced(light: Deployment, clean: Git, tmp_path: Path) -> None:
    (light.main / "plots" / "more").symlink_to(tmp_path)
    with pytest.raises(PantheonError, match="plots/more is not in DVC's cache"):
        versioning.record(light.finished("20260102-000001-0000"))
    assert (light.main / "plots" / "more").is_symlink()
    (light.main / "plots" / "more").unlink()


def test_after_a_failure_a_file_put_there_meanwhile_stays(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [light.main / "data" / "source" / "mine.csv", light.main / "plots" / "mine.png"]
    before, head = everything(light), clean.head()

    def put() -> None:
        for place in places:
            place.write_text(f"mine in {place.name}")

    at(monkeypatch, "push", put, fail=True)
    with pytest.raises(PantheonError, match="dvc push failed"):
        versioning.record(light.finished("20260102-000002-0000"))
    assert [place.read_text() for place in places] == ["mine in mine.csv", "mine in mine.png"]
    for place in places:
        place.unlink()
    light.dvc("checkout")
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == (before, head, "")


# Changes while a run is being recorded --------------------------------------------------------------------------------


def edit_and_add(git: Git) -> None:
    params = git.folder / "params.yaml"
    params.write_text(params.read_text().replace("folds: 5", "folds: 4"))
    (git.folder / "my-wip.txt").write_text("wip\n")
    git("add", "my-wip.txt")


def add(git: Git) -> None:
    (git.folder / "my-wip.txt").write_text("wip\n")
    git("add", "my-wip.txt")


def change_and_change_back(git: Git) -> None:
    params = git.folder / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("folds: 5", "folds: 4"))
    params.unlink()
    params.write_text(text)


def commit(git: Git) -> None:
    git("commit", "-q", "--allow-empty", "-m", "mine")


def switch(git: Git) -> None:
    git("switch", "-q", "-c", "elsewhere")


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (edit_and_add, "params.yaml was changed; my-wip.txt was added to the index"),
        (add, "my-wip.txt was added to the index"),
        (change_and_change_back, "params.yaml was changed"),
        (commit, "main has a new commit"),
        (switch, "the branch is elsewhere now, not main"),
    ],
)
def test_what_somebody_does_meanwhile_is_named_and_not_committed(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch, act: Callable[[Git], None], named: str
) -> None:
    run, head = light.finished(f"20260103-{len(named):06}-0000"), clean.head()
    with monkeypatch.context() as patch:
        at(patch, "commit", lambda: act(clean))
        with pytest.raises(PantheonError, match=re.escape(named)):
            versioning.record(run)
    assert not clean.ok("rev-parse", "--verify", run.id) and not clean("tag", "-l", f"run/{run.id}")
    assert clean.head() == head or act is commit
    staged = clean("diff", "--cached", "--name-only")
    assert staged == ("my-wip.txt" if act in (edit_and_add, add) else "")
    assert act is not edit_and_add or "folds: 4" in (light.main / "params.yaml").read_text()
    if act is not edit_and_add:
        clean("switch", "-q", "main")
        return
    clean("reset", "-q", "--hard")
    found = versioning.record(run)
    saved = clean("show", f"{found['commit']}:params.yaml")
    assert "folds: 5" in saved and "my-wip.txt" not in clean.files()


def test_an_edit_before_our_files_are_written_is_not_overwritten(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data of many GB takes a while to be copied."""
    real, params = bring.outputs, light.main / "params.yaml"

    def slow(*words: Any) -> list[str]:
        params.write_text("mine: 1\n")
        return real(*words)

    monkeypatch.setattr(bring, "outputs", slow)
    with pytest.raises(PantheonError, match=r"params.yaml was changed"):
        versioning.record(light.finished("20260103-900000-0000"))
    assert params.read_text() == "mine: 1\n"
    assert clean.changed() == ["params.yaml"]


# Ctrl-C, and kills ----------------------------------------------------------------------------------------------------


INTERRUPTED = """
import subprocess, sys
from pathlib import Path
from pantheon import tasks, versioning
from pantheon.errors import PantheonError
from pantheon.versioning.dvc import Dvc
from pantheon.workflow.run import Run
patience, run = sys.argv[1:]
real, tasks.PATIENCE = Dvc.__call__, float(patience)
def call(dvc, *words):
    if words[0] != "push":
        return real(dvc, *words)
    print("pushing", flush=True)
    done = subprocess.run([sys.executable, "-c", "import time; time.sleep(600)", "/bin/dvc", "push"])
    if done.returncode:
        raise PantheonError("dvc push failed")
Dvc.__call__ = call
current = Run(Path(run))
tasks.in_thread(lambda: versioning.step(current, tasks.report), current)
"""


def interrupted(run: Any, patience: float) -> dict[str, Any]:
    """Ctrl-C while the data is pushed; the last event."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", INTERRUPTED, str(patience), str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert "running" in process.stdout.readline() and process.stdout.readline() == "pushing\n"
    process.send_signal(signal.SIGINT)
    if patience == 0:  # it does not wait for anything: what it has started goes on holding the pipe
        last = process.stdout.readline()
    else:
        last = process.stdout.read().splitlines()[-1]
    assert process.wait(timeout=30) == 128 + signal.SIGINT
    if patience == 0:
        os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    event: dict[str, Any] = json.loads(last)
    return event


def test_ctrl_c_takes_a_recording_back(light: Deployment, clean: Git) -> None:
    run = light.finished("20260104-000000-0000")
    before, head = everything(light), clean.head()
    event = interrupted(run, 60.0)
    assert event == {"event": "interrupted", "run": run.id, "left": ""}
    assert "nothing half-written" in interrupted_words(event)
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == (before, head, "")
    assert not (clean.private / "pantheon-recording.json").exists()


def test_ctrl_c_that_cannot_take_it_back_in_time_says_so_and_the_next_call_does(light: Deployment, clean: Git) -> None:
    run = light.finished("20260104-000001-0000")
    event = interrupted(run, 0)
    assert event["left"] == "repositories/main"
    assert "repositories/main holds a part" in interrupted_words(event)
    assert "nothing half-written" not in interrupted_words({})
    assert clean("status", "--porcelain") != ""
    for name in (".gitignore", "dvc.lock", "params.yaml"):
        path = light.main / name
        text = path.read_text()
        path.write_text(f"{text}# mine\n")
        clean("add", name)
        with pytest.raises(PantheonError, match=f"{name} was changed while a recording was cut short") as error:
            versioning.record(run)
        assert f"git checkout HEAD {name}" in error.value.cure
        assert path.read_text() == f"{text}# mine\n" and "# mine" in clean("show", f":{name}")
        clean("checkout", "HEAD", name)
    commit = versioning.record(run)["commit"]
    assert commit == clean.head() and clean("status", "--porcelain") == ""


KILLED = """
import os, signal, sys
from pathlib import Path
from pantheon import versioning
from pantheon.versioning.dvc import Dvc
from pantheon.workflow.run import Run
real = Dvc.__call__
def call(dvc, *words):
    real(dvc, *words)
    if words[0] == "commit":
        os.kill(os.getpid(), signal.SIGKILL)
Dvc.__call__ = call
versioning.record(Run(Path(sys.argv[1])))
"""


def test_after_a_kill_what_dvc_wrote_is_told_from_what_the_user_wrote(light: Deployment, clean: Git) -> None:
    """Before there was time to note what DVC has written."""
    run = light.finished("20260104-000002-0000")
    command = [sys.executable, "-P", "-c", KILLED, str(run.folder)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode == -9
    lock, ignore = light.main / "dvc.lock", light.main / ".gitignore"
    written = lock.read_text()
    for path, text in ((lock, written + "# mine\n"), (lock, written + "mine: 1\n"), (ignore, "/mine\n")):
        path.write_text(text)
        clean("add", path.name)
        with pytest.raises(PantheonError, match=f"{path.name} was changed while a recording was cut short"):
            versioning.record(run)
        assert path.read_text() == text
        clean("checkout", "HEAD", path.name)
        if path is lock:
            lock.write_text(written)
            clean("add", "dvc.lock")
    clean("reset", "-q", "--", "dvc.lock")
    lock.write_text(written[: len(written) // 2])  # the power failed while DVC was writing
    assert versioning.record(run)["commit"] == clean.head()
    assert clean("status", "--porcelain") == ""


# What the user has committed, or made ---------------------------------------------------------------------------------


def test_a_link_in_git_is_replaced_and_what_it_leads_to_is_left_alone(
    light: Deployment, clean: Git, tmp_path: Path
) -> None:
    names = ("spec.toml", "params.yaml", "dvc.lock")
    for name in names:
        (tmp_path / name).write_bytes((light.main / name).read_bytes())
        (light.main / name).unlink()
        (light.main / name).symlink_to(tmp_path / name)
    (tmp_path / "spec.toml").write_text("mine")
    clean("commit", "-q", "-am", "elsewhere")
    texts = {name: (tmp_path / name).read_bytes() for name in names}
    run = light.finished("20260105-000000-0000")
    versioning.record(run)
    assert {name: (tmp_path / name).read_bytes() for name in names} == texts
    assert not any((light.main / name).is_symlink() for name in names)
    assert (light.main / "spec.toml").read_bytes() == run.path("spec.toml").read_bytes()
    assert clean("status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["dvc.lock", "data/source.dvc"])
def test_a_file_for_dvc_that_is_in_no_commit_is_not_overwritten(light: Deployment, clean: Git, name: str) -> None:
    head, path = clean.head(), light.main / name
    clean("rm", "-q", "--cached", name)
    clean("commit", "-q", "-m", "without")
    text = path.read_text() + "# mine\n"
    path.write_text(text)
    with pytest.raises(PantheonError, match=f"{name} is in no commit and would be overwritten"):
        versioning.record(light.finished(f"20260105-000001-{len(name):04}"))
    assert path.read_text() == text
    clean("reset", "-q", "--hard", head)


def test_extensions_of_the_users_stay_and_ours_go_with_the_deployments(light: Deployment, clean: Git) -> None:
    deployments, folder = light.state / "extensions", light.main / "extensions"
    (deployments / "later.py").write_text("# the deployment's\n")
    (deployments / "taken.py").write_text("# the deployment's\n")
    versioning.record(light.finished("20260105-000002-0000"))
    for name in ("notes.md", "my_own.py", "taken.py"):
        (folder / name).write_text("# mine\n")
    clean("add", "extensions")
    clean("commit", "-q", "-m", "mine")
    (deployments / "later.py").unlink()
    (deployments / "taken.py").unlink()
    versioning.record(light.finished("20260105-000003-0000"))
    assert sorted(clean.files("extensions")) == [
        f"extensions/{name}" for name in (".gitkeep", "mine.py", "my_own.py", "notes.md", "taken.py")
    ]
    assert not (folder / "later.py").exists() and clean("status", "--porcelain") == ""


def test_the_data_goes_to_our_remote_whatever_the_users_default_is(
    light: Deployment, clean: Git, tmp_path: Path
) -> None:
    light.dvc("remote", "add", "-d", "-f", "mine", str(tmp_path / "own"))
    clean("commit", "-q", "-am", "a remote of mine")
    found = versioning.record(light.finished("20260105-000004-0000"))
    assert not (tmp_path / "own").exists()
    md5 = found["files"]["data/train.parquet"]
    listed = light.server.client.list_objects_v2(Bucket=light.bucket, Prefix=f"dvc/files/md5/{md5[:2]}/{md5[2:]}")
    assert listed["KeyCount"] == 1
    light.dvc("remote", "remove", "mine")
    clean("commit", "-q", "-am", "without it")


def test_parameters_that_are_no_group_are_refused_in_words() -> None:
    with pytest.raises(PantheonError, match=r"train in params.yaml must be a group of parameters") as error:
        pipeline.params_text(Params(), "train: 5\n")
    assert "trials" in error.value.cure
