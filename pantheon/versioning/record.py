"""A finished run as a commit: its files in DVC, what made them in git, under a tag of the run's name."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.versioning import bring, pipeline
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.versioning.journal import LOCK, NAME, POINTER, Journal, managed
from pantheon.versioning.repository import enabled, folder_of, locked, prepare, remote
from pantheon.workflow.run import Run, atomic, read_json, write_json

RESULT = "version_control.json"
PATIENCE = 5.0  # seconds that another git may hold the index
SHOWN = 5  # files named in a message
LOOK = 0.05
REMOTE = "store"  # ours; a default of the user's own may be another one

_stopped = threading.Event()  # this process is to end
_recording = threading.Event()  # it is changing the repository


def record(run: Run) -> dict[str, Any]:
    """Bring the run into the deployment's repository, push its data and commit it; nothing where DVC is not enabled.

    A run that is recorded already, as it is now, is left as it is. Killed anywhere, the next call goes on.

    Returns:
        ``version_control.json``: ``{"commit", "tag", "branch", "remote", "data": {"path", "md5"}, "files": {path:
        md5}, "recorded"}``; empty where DVC is not enabled.

    Raises:
        PantheonError: the repository has unfinished work of somebody's, git or DVC is missing, the store does not
            answer … Nothing is lost and nothing of the user's is changed.
    """
    if not enabled(run.state):
        return {}
    with locked_folder(run.state):
        return Recording(run, prepare(run.state)).done()


def interrupt(run: Run, patience: float) -> str:
    """Have a recording of this process taken back, since the process is to end; for another thread than its own.

    Args:
        patience: seconds to wait for that.

    Returns:
        The repository's path in the state folder, where it holds a part of the run now; else an empty text.
    """
    _stopped.set()
    end = time.monotonic() + patience
    while _recording.is_set() and time.monotonic() < end:
        _kill_push()
        time.sleep(LOOK)
    journal = folder_of(run.state) / ".git" / NAME
    try:
        left = read_json(journal)["run"] == run.id
    except FileNotFoundError:
        left = False
    return str(folder_of(run.state).relative_to(run.state)) if left else ""


def _kill_push() -> None:
    """End a ``dvc push`` of ours: it may take minutes, and signals are blocked in it as in us.

    ``dvc commit`` is left to end: cut short, it leaves a half of dvc.lock.
    """
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            words = (process / "cmdline").read_bytes().split(b"\0") if parent == os.getpid() else []
            if b"push" in words and any(word.endswith(b"/dvc") for word in words):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # it has ended
            continue


def locked_folder(state: Path) -> Any:
    (state / "repositories").mkdir(parents=True, exist_ok=True)
    return locked(state)


class Recording:
    """One run on its way into the repository ``folder``, whose lock is held."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.git, self.dvc = Git(folder, run.state), Dvc(folder, run.state)
        self.journal = Journal(folder, self.git, self.dvc)
        self.tag = f"run/{run.id}"

    def done(self) -> dict[str, Any]:
        found = self.known()
        if found:
            return found
        self.check()
        self.dvc.wait_until_idle()
        files = bring.texts(self.run, self.folder)
        gone = self.gone(files)
        self.refuse_strangers(files)
        known = self.cached()
        _recording.set()
        try:
            result = self.result(self.whole_or_not(files, gone, known))
            write_json(self.run.path(RESULT), result)
            self.journal.end()
        finally:
            _recording.clear()
        return result

    def whole_or_not(self, files: dict[str, bytes], gone: list[str], known: bring.Seen) -> str:
        """The commit; where that fails everything is as before."""
        self.go_on()
        self.journal.begin(self.run, files, gone)
        try:
            return self.commit(files, gone, known)
        except BaseException as error:
            try:
                if self.journal.undo():
                    self.journal.end()
            except PantheonError:  # the failure itself is what to tell; the journal stays, for the next call
                pass
            if _stopped.is_set() and isinstance(error, PantheonError):
                raise KeyboardInterrupt from error  # it was us who killed DVC
            raise

    def go_on(self) -> None:
        if _stopped.is_set():
            raise KeyboardInterrupt

    def known(self) -> dict[str, Any]:
        """What is recorded of the run as it is now; empty where something was made anew since, or nothing is."""
        path = self.run.path(RESULT)
        found: dict[str, Any] = read_json(path) if path.exists() else {}
        same = found.get("recorded") == self.stamps()
        return found if same and self.git.ok("cat-file", "-e", found["commit"]) else {}

    def stamps(self) -> dict[str, str]:
        """When each stage was finished; with PyCaret, some may be missing."""
        stages = self.run.stages()
        return {name: stages[name].get("finished", "") for name in pipeline.outputs() if name in stages}

    # What is in the way -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The repository is at rest, on a branch and clean, once what a killed recording left is put back.

        Raises:
            PantheonError: it is not; names what is in the way.
        """
        self.wait_for_index()
        if self.journal.path.exists():
            self.put_back()
        what = self.git.under_way()
        if what:
            raise self.error(f"{what} is not finished", "Finish or abort it (`git status` says how)")
        branch = self.git.branch()
        if not branch:
            raise self.error("it is on no branch (a detached HEAD)", "Go back to one: git switch main")
        changed = self.git.changed()
        if changed:
            names = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if changed[SHOWN:] else "")
            raise self.error(f"changes there are not committed: {names}", "Commit them, or put them aside: git stash")
        self.check_pipeline()

    def check_pipeline(self) -> None:
        """The user's own dvc.yaml still has the stages that a run is recorded as."""
        path = self.folder / "dvc.yaml"
        stages = pipeline.parse(path.read_text(encoding="utf-8"), str(path)).get("stages") if path.exists() else {}
        missing = [name for name in pipeline.outputs() if name not in (stages or {})]
        if missing:
            raise self.error(
                f"its dvc.yaml has no stage {missing[0]}, so the run cannot be recorded against it",
                "Take that stage back, or record on another branch: git switch BRANCH",
            )

    def error(self, what: str, cure: str) -> PantheonError:
        return PantheonError(
            f"run {self.run.id} is not recorded in DVC, and its model not deployed: in {self.folder}, {what}.",
            f"{cure}. Then: bin/pantheon run --resume {self.run.id}",
        )

    def wait_for_index(self) -> None:
        """Another git at work ends soon; a lock that a killed recording left is taken away."""
        lock, end = self.git.private / "index.lock", time.monotonic() + PATIENCE
        while lock.exists() and time.monotonic() < end:
            time.sleep(0.1)
        if lock.exists():
            if not self.journal.path.exists():
                raise self.error("another git is at work", f"Wait for it; if none is, delete {lock}")
            lock.unlink()

    def refuse_strangers(self, files: dict[str, bytes]) -> None:
        """A file that git does not know must not be overwritten, nor one in a folder that is somewhere else."""
        tracked = set(self.git.files())
        for name, content in (files | {LOCK: None, POINTER: None}).items():
            path = self.folder / name
            for parent in path.relative_to(self.folder).parents[:-1]:
                if (self.folder / parent).is_symlink():
                    raise self.error(f"{parent} is a link, and {name} would be written where it leads", "Replace it")
            there = path.is_symlink() or path.exists()
            if name not in tracked and there and (path.is_symlink() or path.read_bytes() != content):
                raise self.error(f"{name} is in no commit and would be overwritten", f"Commit it: git add {name}")

    def cached(self) -> bring.Seen:
        """The files that a run's data takes the place of: all of them are in DVC's cache.

        Raises:
            PantheonError: one is not, so it is somebody's own.
        """
        tracked = self.git.files(*bring.places())
        if tracked:
            raise self.error(f"git has {tracked[0]}, where DVC keeps a run's data", "Put it elsewhere: git mv")
        found = bring.seen(self.folder)
        strangers = bring.strangers(self.folder, bring.places())
        if strangers:
            source = Path(pipeline.SOURCE) in (Path(strangers[0]), *Path(strangers[0]).parents)
            keep = f"dvc add {pipeline.SOURCE}" if source else "dvc commit -f"
            raise self.error(
                f"{strangers[0]} is not in DVC's cache, and a run's data would take its place",
                f"Move it away, or keep it: cd {self.folder} && {keep} && git commit -am mine",
            )
        return found

    def gone(self, files: dict[str, bytes]) -> list[str]:
        """What an earlier recording brought and this run does not have; what somebody has committed since is theirs."""
        found = [name for name in self.git.files(*pipeline.IN_GIT) if name not in files]
        for name in self.git.files("extensions", "pycaret"):
            ours = (name.count("/"), Path(name).suffix) in ((1, ".py"), (1, ".json"))
            if ours and name not in files and "\nRun: " in self.git("log", "-1", "--format=%B", "--", name):
                found.append(name)
        return found

    # Forth and back ---------------------------------------------------------------------------------------------------

    def commit(self, files: dict[str, bytes], gone: list[str], known: bring.Seen) -> str:
        """Bring everything in and commit it; the commit's hash.

        Raises:
            PantheonError: a file, the index or the branch was changed meanwhile; or git or DVC failed.
        """
        bring.source(self.run, self.folder, known)
        whole = bring.outputs(self.run, self.folder, known)
        if changed := self.git.changed():  # copying may have taken minutes
            raise self.meddled([f"{name} was changed" for name in changed])
        self.refuse_strangers(files)
        for name, content in files.items():
            path = self.folder / name
            if path.is_symlink() or not path.exists() or path.read_bytes() != content:
                self.write(name, content)
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        for name in managed():  # DVC would write where a link leads
            path = self.folder / name
            if path.is_symlink() and path.is_file():
                self.write(name, path.read_bytes())
            elif path.is_symlink():
                path.unlink()
        if not (self.folder / POINTER).exists():
            self.write(POINTER, f"outs:\n- path: {Path(pipeline.SOURCE).name}\n  hash: md5\n".encode())
        self.forget_others(whole)
        self.journal.written([*files, *gone])
        targets = [*whole, POINTER]
        self.go_on()
        self.dvc("commit", "-f", *targets)
        self.journal.committed()
        self.go_on()
        self.dvc("push", "-r", REMOTE, *targets)
        self.go_on()
        self.refuse_meddled()
        tracked = set(self.git.files())
        ours = [name for name in managed() if name in tracked or (self.folder / name).exists()]
        self.git("add", "-A", "--", *files, *ours)
        if gone:
            self.git("rm", "-q", "--cached", "--ignore-unmatch", "--", *gone)
        self.refuse_meddled()
        # After a kill between commit and tag there is nothing left to commit: HEAD is this run already.
        if self.journal.staged() or f"Run: {self.run.id}" not in self.git("log", "-1", "--format=%B").splitlines():
            self.git("commit", "-q", "--allow-empty", "-m", self.message(), "--only", "--", *files, *ours, *gone)
        self.git("tag", "-f", self.tag)
        return self.git.head()

    def write(self, name: str, content: bytes) -> None:
        """Whole or not at all, and in place of a link, not where that leads."""
        with atomic(self.folder / name) as part:
            part.write_bytes(content)

    def refuse_meddled(self) -> None:
        """What is committed is the run's, whatever somebody does here meanwhile."""
        if found := self.journal.meddled():
            raise self.meddled(found)

    def meddled(self, found: list[str]) -> PantheonError:
        names = "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if found[SHOWN:] else "")
        return self.error(
            f"somebody was at work while it was being recorded: {names}", "Commit that, or put it aside: git stash"
        )

    def forget_others(self, whole: list[str]) -> None:
        """Take out of dvc.lock what an earlier run's stages wrote and this one's did not: it is none of this run's."""
        path = self.folder / LOCK
        if not path.exists():
            return
        lock = pipeline.parse(path.read_text(encoding="utf-8"), path.name)
        stages = lock.get("stages") or {}
        kept = {name: stage for name, stage in stages.items() if name in whole or name not in pipeline.outputs()}
        if kept != stages:
            self.write(LOCK, pipeline.dump(lock | {"stages": kept}).encode())

    def message(self) -> str:
        asked, metrics = self.run.asked, read_json(self.run.path("metrics.json"))
        metric = metrics["primary"]["name"]
        value = metrics["held_out"][metric]
        score = f", {metric} {value:.4g}" if value is not None else ""
        trailers = {"Run": self.run.id, "Dataset": asked["dataset"], "Tier": asked["tier"], "Model": metrics["chosen"]}
        lines = [f"{key}: {value}" for key, value in trailers.items() if value]
        return f"{asked['dataset']}: run {self.run.id}{score}\n\n" + "\n".join(lines)

    def put_back(self) -> None:
        """Undo what a killed recording left, if it is just that.

        Raises:
            PantheonError: somebody has changed the same files since.
        """
        self.dvc.wait_until_idle()  # its DVC may go on
        theirs = self.journal.theirs()
        if theirs:
            raise self.error(
                f"{theirs[0]} was changed while a recording was cut short",
                f"Keep it: git commit -m mine {theirs[0]}, or drop it: git checkout HEAD {theirs[0]}",
            )
        self.journal.undo()
        self.journal.end()

    def result(self, commit: str) -> dict[str, Any]:
        lock = pipeline.parse((self.folder / LOCK).read_text(encoding="utf-8"), LOCK)
        pointer = pipeline.parse((self.folder / POINTER).read_text(encoding="utf-8"), POINTER)
        files = {pipeline.SOURCE: pointer["outs"][0]["md5"]}
        for name in pipeline.outputs():
            for out in lock["stages"].get(name, {}).get("outs", []):
                files[out["path"]] = out["md5"]
        return {
            "commit": commit,
            "tag": self.tag,
            "branch": self.git.branch(),
            "remote": remote(self.run.state),
            "data": {"path": pipeline.TRAINING, "md5": files.get(pipeline.TRAINING, files[pipeline.SOURCE])},
            "files": files,
            "recorded": self.stamps(),
        }
