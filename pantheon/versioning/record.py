"""A finished run as a commit: its files in DVC, what made them in git, under a tag of the run's name."""

import hashlib
import time
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.versioning import bring, pipeline
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.versioning.repository import enabled, locked, prepare, remote
from pantheon.workflow.run import Run, read_json, write_json

RESULT = "version_control.json"
PATIENCE = 5.0  # seconds that another git may hold the index
SHOWN = 5  # files named in a message


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


def locked_folder(state: Path) -> Any:
    (state / "repositories").mkdir(parents=True, exist_ok=True)
    return locked(state)


class Recording:
    """One run on its way into the repository ``folder``, whose lock is held."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.git, self.dvc = Git(folder, run.state), Dvc(folder, run.state)
        self.journal = self.git.private / "pantheon-recording.json"
        self.tag = f"run/{run.id}"

    def done(self) -> dict[str, Any]:
        found = self.known()
        if found:
            return found
        self.check()
        self.dvc.wait_until_idle()
        files = bring.texts(self.run, self.folder)
        gone = [name for name in self.git.files("extensions", "pycaret", *pipeline.IN_GIT) if name not in files]
        self.refuse_strangers(files)
        shas = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        write_json(self.journal, {"run": self.run.id, "files": shas, "gone": gone, "source": bring.origin(self.run)})
        try:
            commit = self.commit(files, gone)
        except BaseException:
            self.restore()
            raise
        result = self.result(commit)
        write_json(self.run.path(RESULT), result)
        self.journal.unlink()
        return result

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
        if self.journal.exists():
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
            if not self.journal.exists():
                raise self.error("another git is at work", f"Wait for it; if none is, delete {lock}")
            lock.unlink()

    def refuse_strangers(self, files: dict[str, bytes]) -> None:
        """A file that git does not know must not be overwritten."""
        tracked = set(self.git.files())
        for name, content in files.items():
            path = self.folder / name
            if name not in tracked and path.exists() and path.read_bytes() != content:
                raise self.error(f"{name} is in no commit and would be overwritten", f"Commit it: git add {name}")

    # Forth and back ---------------------------------------------------------------------------------------------------

    def commit(self, files: dict[str, bytes], gone: list[str]) -> str:
        """Bring everything in and commit it; the commit's hash."""
        bring.source(self.run, self.folder)
        whole = bring.outputs(self.run, self.folder)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        pointer = self.folder / f"{pipeline.SOURCE}.dvc"
        if not pointer.exists():
            pointer.write_text(f"outs:\n- path: {Path(pipeline.SOURCE).name}\n  hash: md5\n", encoding="utf-8")
        self.forget_others(whole)
        targets = [*whole, f"{pipeline.SOURCE}.dvc"]
        self.dvc("commit", "-f", *targets)
        self.dvc("push", *targets)
        self.git("add", "--", *files, "dvc.lock", f"{pipeline.SOURCE}.dvc", ".gitignore")
        if gone:
            self.git("rm", "-q", "--cached", "--ignore-unmatch", "--", *gone)
        # After a kill between commit and tag there is nothing left to commit: HEAD is this run already.
        if self.git.changed() or f"Run: {self.run.id}" not in self.git("log", "-1", "--format=%B").splitlines():
            self.git("commit", "-q", "--allow-empty", "-m", self.message())
        self.git("tag", "-f", self.tag)
        return self.git.head()

    def forget_others(self, whole: list[str]) -> None:
        """Take out of dvc.lock what an earlier run's stages wrote and this one's did not: it is none of this run's."""
        path = self.folder / "dvc.lock"
        if not path.exists():
            return
        lock = pipeline.parse(path.read_text(encoding="utf-8"), path.name)
        stages = lock.get("stages") or {}
        kept = {name: stage for name, stage in stages.items() if name in whole or name not in pipeline.outputs()}
        if kept != stages:
            path.write_text(pipeline.dump(lock | {"stages": kept}), encoding="utf-8")

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
        journal = read_json(self.journal)
        ours = {"dvc.lock", f"{pipeline.SOURCE}.dvc", ".gitignore"}
        for name in self.git.changed():
            path = self.folder / name
            sha = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
            if name not in ours and sha != journal["files"].get(name) and not (name in journal["gone"] and not sha):
                raise self.error(f"{name} was changed while a recording was cut short", "Commit it, or: git stash")
        self._checkout(journal)
        self.journal.unlink()

    def restore(self) -> None:
        """After a failure: git's files as HEAD has them, DVC's as they were; as far as that goes."""
        journal = read_json(self.journal)
        self._checkout(journal)
        try:
            if "dvc.lock" in self.git.files("dvc.lock"):
                known = pipeline.parse((self.folder / "dvc.lock").read_text(encoding="utf-8"), "dvc.lock")["stages"]
                ours = [name for name in pipeline.outputs() if name in known]
                self.dvc("checkout", "-f", *ours, f"{pipeline.SOURCE}.dvc")
        except PantheonError:  # the failure itself is what to tell; `dvc checkout` repairs the rest at any time
            pass
        else:
            self.journal.unlink(missing_ok=True)

    def _checkout(self, journal: dict[str, Any]) -> None:
        paths = [*journal["files"], *journal["gone"], "dvc.lock", f"{pipeline.SOURCE}.dvc", ".gitignore"]
        known = set(self.git.files())
        here = [name for name in paths if name in known]
        self.git("reset", "-q", "--", *paths, check=False)
        self.git("checkout", "-q", "HEAD", "--", *here)
        for name in set(paths) - known:
            (self.folder / name).unlink(missing_ok=True)
        place = self.folder / pipeline.SOURCE
        if bring.holds(place, *journal["source"]):  # a link or copy of ours, in no cache yet perhaps
            bring.remove(place)

    def result(self, commit: str) -> dict[str, Any]:
        lock = pipeline.parse((self.folder / "dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
        pointer = pipeline.parse((self.folder / f"{pipeline.SOURCE}.dvc").read_text(encoding="utf-8"), "source.dvc")
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
