"""After kills, Ctrl-C, concurrent runs or an unavailable store, the history is intact and recording continues."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pantheon import files, versioning
from pantheon.deployment.execution import interruption_note
from pantheon.errors import PantheonError
from pantheon.versioning.commands import Git
from pantheon.versioning.record import Recorded
from tests.support import ROOT
from tests.support.ports import free_ports
from tests.support.versioning import Deployment, everything
from tests.support.waiting import until

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from pathlib import Path
from pantheon import versioning
from pantheon.versioning import contents
from pantheon.versioning.commands import Dvc, Git
from pantheon.workflow.run import Run
step, run = sys.argv[1:]
def killing(call, wanted):
    def wrapped(*words, **more):
        found = call(*words, **more)
        if wanted(words):
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return wrapped
if step == "contents":
    contents.outputs = killing(contents.outputs, lambda words: True)
elif step.startswith("dvc"):
    Dvc.__call__ = killing(Dvc.__call__, lambda words: words[2] == step[4:])
else:
    Git.run = killing(Git.run, lambda words: words[1] == step[4:])
versioning.record(Run(Path(run)))
"""

STEPS = ("contents", "dvc commit", "dvc push", "git add", "git commit", "git push", "git merge")


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_step_the_next_recording_succeeds(light: Deployment, clean: Git, step: str) -> None:
    run = light.finished(f"20260101-000010-000{STEPS.index(step)}")
    before, seen, head = light.commits(), everything(light), clean.head()
    done = subprocess.run(
        [sys.executable, "-P", "-c", KILLED, step, str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -9
    pushed = step in ("git push", "git merge")
    assert bool(light.history.commit_of(f"run/{run.id}")) == pushed == (len(light.commits()) > len(before))
    assert light.history.ok("fsck", "--no-progress")
    if step != "git merge":
        assert not run.path("version_control.json").exists()
        assert (everything(light), clean.head(), clean("status", "--porcelain")) == (seen, head, "")
    found = light.record(run)
    assert found.note == "" and clean("status", "--porcelain") == ""
    assert light.commits() == [f"robots: run {run.id}, roc_auc 0.9", *before]
    assert found.record["commit"] == clean("rev-parse", f"run/{run.id}") == clean.head()
    assert (light.main / "tuning.json").read_text() == f"tuning.json of {run.id}"


def test_a_damaged_private_clone_is_recreated(light: Deployment, clean: Git) -> None:
    clone = light.state / "repositories" / ".recording"
    for number, path in enumerate((".git/objects", ".git/HEAD", ".git/info", ".git", "")):
        shutil.rmtree(clone / path) if (clone / path).is_dir() else (clone / path).unlink()
        (clone / ".git" / "index.lock").parent.mkdir(parents=True, exist_ok=True)
        (clone / ".git" / "index.lock").touch()
        run = light.finished(f"20260101-000020-000{number}")
        assert light.record(run).note == "" and light.commits()[0].startswith(f"robots: run {run.id}")


# A DVC that never ends: once it has a command, its PID goes to a file.
SLOW = """#!/bin/sh
read line
echo $$ > {asked}.part
mv {asked}.part {asked}
exec sleep 600
"""


def slow_dvc(folder: Path) -> tuple[dict[str, str], Path]:
    """An environment of DVC whose commands never end; and the file that shows that one has begun."""
    asked = folder / "asked"
    (folder / "bin").mkdir()
    (folder / "bin" / "dvc").touch()
    (folder / "bin" / "python").write_text(SLOW.format(asked=asked))
    (folder / "bin" / "python").chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(ROOT), "DVC_ENVIRONMENT": str(folder)}, asked


INTERRUPTED = """
import sys
from pathlib import Path
from pantheon import versioning, worker
from pantheon.workflow.run import Run
current = Run(Path(sys.argv[1]))
worker.in_thread(lambda: versioning.step(current, worker.report), current)
"""


def test_ctrl_c_ends_a_recording_immediately_and_leaves_nothing(light: Deployment, clean: Git, tmp_path: Path) -> None:
    run = light.finished("20260104-000000-0000")
    before, commits = (everything(light), clean.head(), clean("status", "--porcelain")), light.commits()
    environment, asked = slow_dvc(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", INTERRUPTED, str(run.folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    until(asked.exists)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert [json.loads(line).get("state") for line in said.splitlines()] == ["running", None]
    assert json.loads(said.splitlines()[-1]) == {"event": "interrupted", "run": run.id}
    assert "no incomplete files are left" in interruption_note(json.loads(said.splitlines()[-1]))
    until(lambda: not files.is_locked(light.state / "repositories" / ".lock"))  # DVC has ended too
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == before
    assert light.commits() == commits
    assert light.record(run).record["commit"] == clean.head()


def test_after_a_kill_the_next_recording_waits_for_a_running_dvc(light: Deployment, clean: Git, tmp_path: Path) -> None:
    """It would write to the same clone."""
    run = light.finished("20260104-000001-0000")
    environment, asked = slow_dvc(tmp_path)
    process = subprocess.Popen([sys.executable, "-P", "-c", INTERRUPTED, str(run.folder)], env=environment)
    until(asked.exists)
    process.kill()
    process.wait()
    lock = light.state / "repositories" / ".lock"
    assert files.is_locked(lock)
    found: list[Recorded] = []
    thread = threading.Thread(target=lambda: found.append(light.record(run)))
    thread.start()
    time.sleep(0.5)
    assert not found
    os.kill(int(asked.read_text()), signal.SIGKILL)
    thread.join(60)
    assert found[0].record["commit"] == clean.head()


def test_two_runs_at_once_wait_for_each_other(light: Deployment, clean: Git) -> None:
    runs = [light.finished(f"20260101-000100-000{number}") for number in range(2)]
    before, found = len(light.commits()), dict[str, Recorded]()
    threads = [
        threading.Thread(target=lambda run=run: found.update({run.id: light.record(run)}))  # type: ignore[misc]
        for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(light.commits()) == before + 2 and clean("status", "--porcelain") == ""
    for run in runs:
        saved = clean("show", f"{found[run.id].record['commit']}:run.json")
        assert json.loads(saved)["id"] == run.id


def test_while_the_store_does_not_answer_nothing_is_recorded(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # by default DVC's S3 tries for ten seconds and more
    run = light.finished("20260101-000000-0003")
    before, head, commits = everything(light), clean.head(), light.commits()
    try:
        light.point(f"http://127.0.0.1:{free_ports(1)[0]}")
        with pytest.raises(PantheonError, match="the S3 store does not answer") as error:
            versioning.record(run)
    finally:
        light.point(light.server.endpoint)
    assert "testsecret" not in str(error.value)
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == (before, head, "")
    assert light.commits() == commits and not light.history.commit_of(f"run/{run.id}")
    commit = light.record(run).record["commit"]
    assert commit == clean("rev-parse", f"run/{run.id}") == clean.head() != head
