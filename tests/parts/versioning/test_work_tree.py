"""Changes in the user's work tree never block a recording and are never overwritten."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon import versioning
from pantheon.versioning import pipeline, repository, worktree
from pantheon.versioning.commands import Git
from pantheon.versioning.record import Record
from tests.support.versioning import Deployment, everything, follow

pytestmark = pytest.mark.slow
MERGE = "git merge deployment/runs && dvc checkout"


# What may be in the way: each changes the work tree, as its user would.


def detached(git: Git) -> None:
    git("checkout", "-q", "--detach")


def merging(git: Git) -> None:
    base = git.head()
    for branch, text in (("theirs", "one\n"), ("mine", "two\n")):
        git("switch", "-q", "-c", branch, base)
        (git.folder / "notes.txt").write_text(text)
        git("add", "notes.txt")
        git("commit", "-q", "-m", f"notes of {branch}")
    git("branch", "-f", "main", "mine")
    git("switch", "-q", "main")
    assert not git.ok("merge", "theirs")


def edited(git: Git) -> None:
    params = git.folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 42", "seed: 7"))


def staged(git: Git) -> None:
    (git.folder / "mine.txt").write_text("mine")
    git("add", "mine.txt")


def branch_of_their_own(git: Git) -> None:
    git("switch", "-q", "-c", "idea")


def untracked(git: Git) -> None:
    (git.folder / "pycaret").mkdir(exist_ok=True)
    (git.folder / "pycaret" / "options.json").write_text('{"of": "mine, in no commit"}\n')


def plot(git: Git) -> None:
    (git.folder / "plots" / "my-notes.png").write_text("mine")


def data(git: Git) -> None:
    (git.folder / "data" / "source" / "mine.csv").write_text("mine")


def link(git: Git) -> None:
    (git.folder / "plots" / "more").symlink_to("/")


def at_work(git: Git) -> None:
    info = {"pid": os.getpid(), "cmd": "dvc repro"}
    (git.folder / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"params.yaml": {"read": [info]}}))


def index_locked(git: Git) -> None:
    (git.private / "index.lock").touch()


def without_dvc(git: Git) -> None:
    git("switch", "-q", "--orphan", "theirs")


@pytest.mark.parametrize(
    ("what", "why", "how"),
    [
        (detached, "it is on no branch", f"git switch main && {MERGE}"),
        (merging, "a merge is not finished", MERGE),
        (edited, "changes are not committed: params.yaml", f"git stash && {MERGE}"),
        (staged, "changes are not committed: mine.txt", f"git stash && {MERGE}"),
        (branch_of_their_own, "it is on branch idea", f"git switch main && {MERGE}"),
        (untracked, "pycaret/options.json", MERGE),
        (plot, "not in DVC's cache: plots/my-notes.png", MERGE),
        (data, "not in DVC's cache: data/source/mine.csv", MERGE),
        (link, "not in DVC's cache: plots/more", MERGE),
        (at_work, "dvc is at work there", MERGE),
        (index_locked, "index.lock", MERGE),
        (without_dvc, "it is on branch theirs", f"git switch main && {MERGE}"),
    ],
)
def test_changes_of_the_user_never_block_a_recording_and_are_kept(
    light: Deployment, clean: Git, what: Callable[[Git], None], why: str, how: str, request: pytest.FixtureRequest
) -> None:
    run = light.finished(f"20260102-000000-{abs(hash(what.__name__)) % 10000:04}")
    run.path("pycaret").mkdir()
    run.path("pycaret/options.json").write_text("{}")
    what(clean)
    before, commits = (everything(light), clean.head(), clean("status", "--porcelain")), len(light.commits())
    found = light.record(run)
    assert light.history.commit_of("runs") == light.history.commit_of(f"run/{run.id}") == found.record["commit"]
    assert len(light.commits()) > commits and light.commits()[0].startswith(f"robots: run {run.id}")
    assert why in found.note and "was not moved" in found.note and found.note.endswith(how), found.note
    assert "\n" not in found.note
    (clean.private / "index.lock").unlink(missing_ok=True)
    assert (everything(light), clean.head(), clean("status", "--porcelain")) == before
    if what in (detached, edited, staged, branch_of_their_own):
        follow(light, found.note)
        assert clean.head() == found.record["commit"]
        assert (light.main / "tuning.json").read_text() == f"tuning.json of {run.id}"


@pytest.mark.parametrize("damage", ["no .git", "no HEAD", "bad settings of DVC", "another folder"])
def test_a_damaged_work_tree_does_not_block_a_recording(
    light: Deployment, first: Record, damage: str, tmp_path: Path
) -> None:
    kept = tmp_path / "main"
    run = light.finished(f"20260102-000001-{abs(hash(damage)) % 10000:04}")
    light.main.rename(kept)
    try:
        if damage == "another folder":
            light.main.mkdir()
            (light.main / "notes.txt").write_text("mine")
        else:
            subprocess.run(["cp", "-a", kept, light.main], check=True)
            path = {"no .git": ".git", "no HEAD": ".git/HEAD", "bad settings of DVC": ".dvc/config.local"}[damage]
            (light.main / path).rename(tmp_path / "away")
            if damage == "no HEAD":
                (light.main / path).write_text("garbage")
            if damage == "bad settings of DVC":
                (light.main / path).write_text("garbage testsecret")
        found = light.record(run)
        assert light.history.commit_of(f"run/{run.id}") == found.record["commit"]
        assert found.note and "testsecret" not in found.note
        if damage == "another folder":
            assert [path.name for path in light.main.iterdir()] == ["notes.txt"]
    finally:
        subprocess.run(["rm", "-rf", light.main], check=True)
        kept.rename(light.main)
        light.clean()


def test_a_deleted_work_tree_is_recreated_with_its_data(light: Deployment, first: Record) -> None:
    subprocess.run(["rm", "-rf", light.main], check=True)
    run = light.finished("20260102-000002-0000")
    found = light.record(run)
    assert found.note == "" and light.git.head() == found.record["commit"]
    assert light.git("status", "--porcelain") == "" and light.git.branch() == "main"
    assert (light.main / "tuning.json").read_text() == f"tuning.json of {run.id}"
    assert light.dvc("status") == "Data and pipelines are up to date.\n"
    assert "up to date" in light.git("status")


def test_an_edit_at_the_last_moment_is_not_overwritten(
    light: Deployment, clean: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After we have looked: git itself looks again."""
    real, params = worktree.uncached_files, light.main / "params.yaml"

    def slow(folder: Path) -> list[str]:
        found = real(folder)
        params.write_text("mine: 1\n")
        return found

    run = light.finished("20260102-000003-0000")
    (light.state / "runs" / run.id / "spec.toml").write_text("# another\n" + run.path("spec.toml").read_text())
    request = json.loads(run.path("run.json").read_text())
    run.path("run.json").write_text(json.dumps({**request, "params": {**request["params"], "trials": 3}}))
    monkeypatch.setattr(worktree, "uncached_files", slow)
    head = clean.head()
    note = light.record(run).note
    assert "params.yaml" in note and note.endswith(MERGE), note
    assert params.read_text() == "mine: 1\n" and clean.head() == head
    assert clean.changed() == ["params.yaml"]


def test_data_that_was_not_checked_out_is_checked_out_by_the_next_recording(light: Deployment, clean: Git) -> None:
    """As after a kill between git and DVC."""
    run = light.finished("20260102-000004-0000")
    light.record(run)
    (light.main / "tuning.json").unlink()
    (clean.private / repository.TO_CHECK_OUT).touch()
    assert light.record(run).note == ""
    assert (light.main / "tuning.json").read_text() == f"tuning.json of {run.id}"
    assert not (clean.private / repository.TO_CHECK_OUT).exists()


# Commits of the user's ------------------------------------------------------------------------------------------------


def test_a_stage_and_a_parameter_of_the_user_are_in_the_next_run(light: Deployment, clean: Git) -> None:
    pipe, params = light.main / "dvc.yaml", light.main / "params.yaml"
    mine = "  mine:\n    cmd: cp scores.json mine.json\n    deps: [scores.json]\n    outs: [mine.json]\n"
    pipe.write_text(pipe.read_text().replace("\nplots:\n", f"{mine}\nplots:\n"))
    params.write_text(params.read_text() + "mine:\n  size: 3\n")
    clean("commit", "-q", "-am", "a stage of mine")
    text, commit = pipe.read_text(), clean.head()
    found = light.record(light.finished("20260103-000000-0000"))
    assert found.note == "" and clean.head() == found.record["commit"] == light.history.commit_of("runs")
    assert clean.contains("HEAD", commit) and pipe.read_text() == text
    assert pipeline.parse(params.read_text(), "")["mine"] == {"size": 3}
    assert clean("status", "--porcelain") == ""


def test_commits_that_cannot_be_the_base_of_a_run_are_kept(light: Deployment, clean: Git) -> None:
    pipe = light.main / "dvc.yaml"
    pipe.write_text(pipe.read_text().replace("  evaluate:", "  judge:"))
    clean("commit", "-q", "-am", "evaluate is called judge")
    mine = clean.head()
    found = light.record(light.finished("20260103-000001-0000"))
    assert found.note.startswith("Your commits on main are not in the run's history: dvc.yaml has no stage evaluate.")
    assert "main has commits of yours that the recorded runs do not have" in found.note and found.note.endswith(MERGE)
    assert clean.head() == mine and "judge" not in light.history("show", "runs:dvc.yaml")
    clean("merge", "-q", "deployment/runs")
    assert "judge" in pipe.read_text() and clean("show", "HEAD:run.json")


def test_a_broken_commit_of_the_user_does_not_block_a_recording(light: Deployment, clean: Git, tmp_path: Path) -> None:
    """A link where files are written, data in git, keys in git, parameters that are not a group."""
    for number, act in enumerate((linked_folder, data_in_git, keys_in_git, bad_parameters)):
        act(light.main, tmp_path)
        clean("add", "-A")
        clean("commit", "-q", "-m", act.__name__)
        note = light.record(light.finished(f"20260103-000002-000{number}")).note
        assert note.startswith("Your commits on main are not in the run's history: "), (act, note)
        assert not list(tmp_path.iterdir())
        light.clean()


def linked_folder(folder: Path, away: Path) -> None:
    subprocess.run(["rm", "-rf", folder / "extensions"], check=True)
    (folder / "extensions").symlink_to(away)


def data_in_git(folder: Path, _: Path) -> None:
    Git(folder, folder.parents[1])("add", "-f", "tuning.json")


def keys_in_git(folder: Path, _: Path) -> None:
    Git(folder, folder.parents[1])("add", "-f", ".dvc/config.local")


def bad_parameters(folder: Path, _: Path) -> None:
    (folder / "params.yaml").write_text("train: 5\n")


def test_a_link_in_git_is_replaced_and_its_target_does_not_change(
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
    light.record(run)
    assert {name: (tmp_path / name).read_bytes() for name in names} == texts
    assert not any((light.main / name).is_symlink() for name in names)
    assert (light.main / "spec.toml").read_bytes() == run.path("spec.toml").read_bytes()
    assert clean("status", "--porcelain") == ""


def test_extensions_of_the_user_are_kept_and_recorded_ones_follow_the_deployment(light: Deployment, clean: Git) -> None:
    deployments, folder = light.state / "extensions", light.main / "extensions"
    (deployments / "later.py").write_text("# the deployment's\n")
    (deployments / "taken.py").write_text("# the deployment's\n")
    light.record(light.finished("20260105-000002-0000"))
    for name in ("notes.md", "my_own.py", "taken.py"):
        (folder / name).write_text("# mine\n")
    clean("add", "extensions")
    clean("commit", "-q", "-m", "mine")
    (deployments / "later.py").unlink()
    (deployments / "taken.py").unlink()
    assert light.record(light.finished("20260105-000003-0000")).note == ""
    assert sorted(clean.files("extensions")) == [
        f"extensions/{name}" for name in (".gitkeep", "mine.py", "my_own.py", "notes.md", "taken.py")
    ]
    assert not (folder / "later.py").exists() and clean("status", "--porcelain") == ""


def test_data_is_pushed_to_the_deployments_remote_despite_another_default(
    light: Deployment, clean: Git, tmp_path: Path
) -> None:
    light.dvc("remote", "add", "-d", "-f", "mine", str(tmp_path / "own"))
    clean("commit", "-q", "-am", "a remote of mine")
    found = light.record(light.finished("20260105-000004-0000")).record
    assert not (tmp_path / "own").exists()
    md5 = found["files"]["data/train.parquet"]
    listed = light.server.client.list_objects_v2(Bucket=light.bucket, Prefix=f"dvc/files/md5/{md5[:2]}/{md5[2:]}")
    assert listed["KeyCount"] == 1
    light.dvc("remote", "remove", "mine")
    clean("commit", "-q", "-am", "without it")
    light.record(light.finished("20260105-000005-0000"))


def test_a_push_cannot_rewrite_the_history(light: Deployment, clean: Git) -> None:
    clean("commit", "-q", "--amend", "-m", "rewritten")
    assert not clean.ok("push", "--force", "deployment", "HEAD:runs")
    assert not clean.ok("push", "deployment", ":runs")
    assert light.commits()[0] != "rewritten"


# A deployment of an earlier version -----------------------------------------------------------------------------------


def test_a_repository_of_an_earlier_version_becomes_the_history(light: Deployment, clean: Git) -> None:
    """Its only repository was the work tree: nothing there changes, and every run is in the history."""
    runs = [light.finished(f"20260106-000000-000{number}") for number in range(3)]
    commits = [light.record(run).record["commit"] for run in runs[:2]]
    clean("tag", "-d", f"run/{runs[0].id}")
    clean("tag", f"run/{runs[0].id}", commits[0])
    clean("switch", "-q", "-c", "idea")
    (light.main / "idea.txt").write_text("idea")
    clean("add", "idea.txt")
    clean("commit", "-q", "-m", "an idea")
    clean("tag", "run/20260106-000000-aaaa")  # earlier versions recorded on whatever branch was there
    clean("remote", "remove", "deployment")
    clean("remote", "add", "origin", "https://example.org/mine.git")
    edited(clean)
    before = (everything(light), clean.head(), clean("status", "--porcelain"), clean("show-ref", "--heads", "--tags"))
    subprocess.run(["rm", "-rf", light.history.folder, light.state / "repositories" / ".recording"], check=True)
    light.history.folder.mkdir()  # as a container has it mounted
    inode = light.history.folder.stat().st_ino

    assert not repository.is_prepared(light.state)
    assert versioning.prepare(light.state).warning == ""
    assert repository.is_prepared(light.state)
    assert light.history.folder.stat().st_ino == inode
    assert light.history.commit_of("runs") == commits[1] == clean.commit_of("main")
    assert light.history.commit_of(f"run/{runs[0].id}") == commits[0]
    assert light.history.commit_of("run/20260106-000000-aaaa") == clean.commit_of("idea")
    assert clean("remote", "get-url", "origin") == "https://example.org/mine.git"
    now = (everything(light), clean.head(), clean("status", "--porcelain"), clean("show-ref", "--heads", "--tags"))
    assert now == before

    found = light.record(runs[2])
    assert "it is on branch idea" in found.note
    assert light.commits()[:3] == [f"robots: run {run.id}, roc_auc 0.9" for run in reversed(runs)]
    clean("remote", "remove", "origin")
    for tag in ("run/20260106-000000-aaaa",):
        clean("tag", "-d", tag)
        light.history("tag", "-d", tag)
