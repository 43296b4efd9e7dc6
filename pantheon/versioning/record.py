"""Record a finished run as a commit: its data in DVC, its code and parameters in git, and a tag of the run's name.

This happens in a private clone, so that changes in the user's work tree do not interfere. A recording that was
killed leaves nothing to undo: the next one resets the clone. One atomic push adds commit and tag to the history.
"""

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.files import read_json, write_json
from pantheon.versioning import contents, pipeline, settings, worktree
from pantheon.versioning.commands import Dvc, Git
from pantheon.versioning.repository import (
    RUNS,
    enabled,
    history_of,
    is_prepared,
    is_repository,
    locked,
    make_history,
    prepare_work_tree,
    work_tree_of,
)
from pantheon.versioning.worktree import LOCK, POINTER
from pantheon.workflow.run import Run

RESULT = "version_control.json"
STEP = "version_control"  # the recording's name among the stages of a run
STORE = "store"  # DVC's name for the deployment's remote; the user's default remote may be another one
USERS_MAIN = "refs/users/main"  # the user's branch main in the private clone

_current: dict[str, Dvc] = {}  # the DVC of this process's recording
_stopped = threading.Event()  # set when this process must end


class TrainingData(TypedDict):
    """The training rows: path in the repository, and MD5 in DVC's notation."""

    path: str
    md5: str


class Record(TypedDict):
    """``version_control.json`` of a run.

    Attributes:
        commit: its hash, 40 hexadecimal digits.
        tag: ``run/ID``.
        branch: the branch that has the commit: ``runs``; in older versions, a branch of the user's.
        remote: the URL of DVC's remote, such as ``s3://pantheon/dvc``.
        data: the training data.
        files: the files that DVC stores: path → MD5.
        recorded: stage → when it finished, ISO 8601.
    """

    commit: str
    tag: str
    branch: str
    remote: str
    data: TrainingData
    files: dict[str, str]
    recorded: dict[str, str]


@dataclass(frozen=True)
class Recorded:
    """A recorded run; ``note`` is a line about why the user's work tree does not have it, and how to get it."""

    record: Record
    note: str


def record(run: Run) -> Recorded | None:
    """Record the run in the deployment's history and push its data; return None if DVC is not enabled.

    Does nothing for a run that is recorded already and has not changed. If killed, the next call starts over.
    Then fast-forwards the user's work tree, unless changes of the user's prevent it.

    Raises:
        PantheonError: git or DVC is missing, the store does not answer, an input file of the run has changed …
    """
    if not enabled(run.state):
        return None
    with locked(run.state) as lock:
        make_history(run.state)
        with Dvc(run.state, lock) as dvc:
            _current["dvc"] = dvc
            try:
                _check_stopped()
                found, note = Recording(run, dvc).done()
                if not is_prepared(run.state):
                    prepare_work_tree(run.state)
                return Recorded(found, " ".join(filter(None, (note, worktree.fast_forward(run.state, dvc)))))
            except PantheonError as error:
                if _stopped.is_set():  # `interrupt` killed DVC
                    raise KeyboardInterrupt from error
                raise
            finally:
                _current.pop("dvc")


def interrupt(grace: float) -> None:
    """Stop this process's recording from another thread: a push may take minutes, and children do not get our signals.

    Args:
        grace: seconds that `dvc checkout` in the user's work tree may still take.
    """
    _stopped.set()
    if dvc := _current.get("dvc"):
        dvc.stop(grace if dvc.verb == "checkout" else 0.0)


def _check_stopped() -> None:
    if _stopped.is_set():
        raise KeyboardInterrupt


class Recording:
    """Records one run in the history, whose lock the caller holds."""

    def __init__(self, run: Run, dvc: Dvc) -> None:
        self.run, self.dvc = run, dvc
        self.folder = run.state / "repositories" / ".recording"
        self.git = Git(self.folder, run.state)
        self.history = Git(history_of(run.state), run.state)
        self.tag = f"run/{run.id}"

    def done(self) -> tuple[Record, str]:
        """Return the record, and a note if the user's commits could not be its base."""
        if existing := self.existing():
            return existing, ""
        self.dvc.start()
        targets, note = self.filled()
        _check_stopped()
        self.dvc(self.folder, "push", "-r", STORE, *targets)
        _check_stopped()
        result = self.result(self.commit())
        write_json(self.run.path(RESULT), result)
        return result, note

    def existing(self) -> Record | None:
        """Return the run's record if the history has its commit and no stage was repeated since."""
        path = self.run.path(RESULT)
        if not path.exists():
            return None
        found: Record = read_json(path)
        same = found.get("recorded") == self.stamps()
        return found if same and self.history.commit_of(found["commit"]) else None

    def stamps(self) -> dict[str, str]:
        """Return when every stage finished; with PyCaret, some may be missing."""
        records = self.run.records()
        return {name: records[name].finished for name in pipeline.outputs() if name in records}

    # The private clone ------------------------------------------------------------------------------------------------

    def filled(self) -> tuple[list[str], str]:
        """Put the run into the clone, on top of the user's commits where that is possible, and into DVC's cache.

        Returns:
            The run's DVC targets, empty for all; and a note.
        """
        tip, users = self.updated()
        if users and users != tip:
            try:
                return self.fill(users), ""
            except PantheonError as error:
                _check_stopped()
                why = f"Your commits on main are not in the run's history: {error.cause}"
                return self.fill(tip), why
        return self.fill(tip), ""

    def updated(self) -> tuple[str, str]:
        """Fetch into the clone, and recreate it if that fails.

        Returns:
            The newest commit of the branch ``runs``; and that of the user's main if it contains ``runs``, else an
            empty string.
        """
        try:
            return self.fetched()
        except (PantheonError, OSError):  # the first time, or after a kill: git's locks, an incomplete folder
            with suppress(FileNotFoundError):
                shutil.rmtree(self.folder)
            self.folder.mkdir()
            self.git("init", "-q", "-b", RUNS)
            settings.apply(self.git)  # before there is a file whose line ends git could change
            settings.identify(self.git)
            self.git("config", "gc.autoDetach", "false")
            return self.fetched()

    def fetched(self) -> tuple[str, str]:
        if not settings.applied(self.folder):
            raise PantheonError("the clone is not complete.")
        for lock in self.git.private.glob("*.lock"):  # no other process uses the clone
            lock.unlink()
        tip = self.history.commit_of(f"refs/heads/{RUNS}")
        if not self.git.commit_of(tip):
            self.git("fetch", "-q", "--no-tags", "../main.git", f"+refs/heads/{RUNS}:refs/remotes/origin/{RUNS}")
        folder = work_tree_of(self.run.state)
        users = Git(folder, self.run.state).commit_of("refs/heads/main") if is_repository(folder) else ""
        if not users or users == tip:
            return tip, ""
        source = f"../{folder.name}"
        if not self.git.commit_of(users) and not self.git.ok(
            "fetch", "-q", "--no-tags", source, f"+refs/heads/main:{USERS_MAIN}"
        ):
            return tip, ""
        return tip, users if self.git.contains(users, tip) else ""

    def reset(self, commit: str) -> None:
        """Reset the clone to the commit; of an earlier run's files, keep only ``data/source``."""
        self.git("checkout", "-q", "-f", "--detach", commit)
        self.git("clean", "-q", "-ffdx", "-e", "/.dvc", "-e", f"/{pipeline.SOURCE}")
        shutil.rmtree(self.folder / ".dvc" / "tmp", ignore_errors=True)  # locks of a DVC that was killed

    def fill(self, base: str) -> list[str]:
        """Put the run on top of the commit ``base``, and its data into DVC's cache.

        Raises:
            PantheonError: something in that commit prevents it; or as ``contents.source``.
        """
        self.reset(base)
        self.check()
        settings.write_private(self.run.state, self.folder)
        contents.source(self.run, self.folder)
        complete = contents.outputs(self.run, self.folder)
        self.paths = self.written()
        self.forget_others(complete)
        _check_stopped()
        targets = worktree.targets(self.git, complete)
        self.dvc(self.folder, "commit", "-f", *targets)
        return targets

    def check(self) -> None:
        """Check that the user's commits still have the pipeline in which runs are recorded.

        Raises:
            PantheonError: they do not.
        """
        pipe = self.folder / "dvc.yaml"
        stages = pipeline.parse(pipe.read_text(encoding="utf-8"), "dvc.yaml").get("stages") or {}
        if missing := [name for name in pipeline.outputs() if name not in stages]:
            raise PantheonError(f"dvc.yaml has no stage {missing[0]}.")
        if not (self.folder / ".dvc" / "config").is_file():
            raise PantheonError(".dvc/config is missing.")
        if tracked := self.git.files(".dvc/config.local", *worktree.places()):
            raise PantheonError(f"git tracks {tracked[0]}.")
        names = (*worktree.places(), "extensions/.py", "pycaret/.json", ".dvc/config.local")
        for parent in sorted({parent for name in names for parent in list(Path(name).parents)[:-1]}):
            if (self.folder / parent).is_symlink():  # files would be written to its target
                raise PantheonError(f"{parent} is a link.")

    def written(self) -> list[str]:
        """Write the run's files for git, and remove those of an earlier run.

        Returns:
            All paths that the commit may change.
        """
        texts = contents.texts(self.run, self.folder)
        gone = self.gone(texts)
        managed = [LOCK, POINTER, *sorted({str(Path(place).parent / ".gitignore") for place in worktree.places()})]
        for name in managed:  # DVC would write to a link's target
            path = self.folder / name
            if path.is_symlink():
                path.unlink()
        if not (self.folder / POINTER).exists():
            text = f"outs:\n- path: {Path(pipeline.SOURCE).name}\n  hash: md5\n"
            files.write_text(self.folder / POINTER, text)
        for name, content in texts.items():
            files.write_bytes(self.folder / name, content)
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        return [*texts, *gone, *managed]

    def gone(self, texts: dict[str, bytes]) -> list[str]:
        """Return files of an earlier run that this one does not have, except those that the user committed since."""
        found = [name for name in self.git.files(*pipeline.IN_GIT) if name not in texts]
        for name in self.git.files("extensions", "pycaret"):
            ours = (name.count("/"), Path(name).suffix) in ((1, ".py"), (1, ".json"))
            if ours and name not in texts and "\nRun: " in self.git("log", "-1", "--format=%B", "--", name):
                found.append(name)
        return found

    def forget_others(self, complete: list[str]) -> None:
        """Remove stages from dvc.lock that an earlier run completed and this one did not."""
        path = self.folder / LOCK
        if not path.exists():
            return
        lock = pipeline.parse(path.read_text(encoding="utf-8"), path.name)
        stages = lock.get("stages") or {}
        kept = {name: stage for name, stage in stages.items() if name in complete or name not in pipeline.outputs()}
        if kept != stages:
            files.write_text(path, pipeline.dump(lock | {"stages": kept}))

    # The commit -------------------------------------------------------------------------------------------------------

    def commit(self) -> str:
        """Commit the clone's content, push it to the history with its tag, and return the commit's hash."""
        self.git("add", "-A", "--", *[name for name in self.paths if (self.folder / name).exists()])
        if removed := [name for name in self.paths if not (self.folder / name).exists()]:
            self.git("rm", "-q", "--cached", "--ignore-unmatch", "--", *removed)
        # A recording that was killed after its push is repeated without a second commit.
        last = self.git("log", "-1", "--format=%B").splitlines()
        if f"Run: {self.run.id}" not in last or not self.git.ok("diff", "--cached", "--quiet"):
            self.git("commit", "-q", "--allow-empty", "-m", self.message())
        refs = (f"HEAD:refs/heads/{RUNS}", f"+HEAD:refs/tags/{self.tag}")
        self.git("push", "-q", "--atomic", "../main.git", *refs)
        return self.git.head()

    def message(self) -> str:
        request, metrics = self.run.record, read_json(self.run.path("metrics.json"))
        metric = metrics["primary"]["name"]
        value = metrics["held_out"][metric]
        score = f", {metric} {value:.4g}" if value is not None else ""
        trailers = {
            "Run": self.run.id,
            "Dataset": request.dataset,
            "Tier": request.tier,
            "Model": metrics["chosen"],
        }
        lines = [f"{key}: {value}" for key, value in trailers.items() if value]
        return f"{request.dataset}: run {self.run.id}{score}\n\n" + "\n".join(lines)

    def result(self, commit: str) -> Record:
        lock = pipeline.parse((self.folder / LOCK).read_text(encoding="utf-8"), LOCK)
        pointer = pipeline.parse((self.folder / POINTER).read_text(encoding="utf-8"), POINTER)
        found: dict[str, str] = {pipeline.SOURCE: pointer["outs"][0]["md5"]}
        for name in pipeline.outputs():
            for out in lock["stages"].get(name, {}).get("outs", []):
                found[out["path"]] = out["md5"]
        return {
            "commit": commit,
            "tag": self.tag,
            "branch": RUNS,
            "remote": settings.remote(self.run.state),
            "data": {"path": pipeline.TRAINING, "md5": found.get(pipeline.TRAINING, found[pipeline.SOURCE])},
            "files": found,
            "recorded": self.stamps(),
        }


# Messages -----------------------------------------------------------------------------------------------------


def step(run: Run, report: Callable[[dict[str, Any]], None]) -> None:
    """Record the run, and report it as the start and end of a stage; do nothing if DVC is not enabled.

    Raises:
        PantheonError: as ``record``.
    """
    if not enabled(run.state):
        return
    event, clock = {"event": "stage", "run": run.id, "stage": STEP}, time.perf_counter()
    report({**event, "state": "running"})
    try:
        found = record(run)
    except PantheonError as error:
        report({**event, "state": "failed", "error": str(error)})
        raise
    assert found
    summary = {"commit": found.record["commit"][:12], "tag": found.record["tag"]}
    seconds = round(time.perf_counter() - clock, 3)
    report({**event, "state": "done", "summary": summary, "seconds": seconds, "note": found.note})


def line(run: Run) -> str:
    """Record the run and return a line that says where; or which tier adds DVC.

    Raises:
        PantheonError: as ``record``.
    """
    found = record(run)
    if not found:
        return "not recorded: the tier odysseus adds DVC, which keeps every run's data and parameters"
    commit, tag, remote = found.record["commit"][:12], found.record["tag"], found.record["remote"]
    return "\n".join(filter(None, (f"recorded: commit {commit}, tag {tag}, in repositories and {remote}", found.note)))
