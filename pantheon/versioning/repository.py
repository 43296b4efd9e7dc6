"""Create the deployment's history, a bare git repository, and the user's work tree of it.

``repositories/`` in the state folder contains:

- ``main.git``: the history. Recordings push to it: branch ``runs``, and a tag ``run/ID`` for each run.
- ``main``: the user's work tree, a separate repository on branch ``main``. Its remote ``deployment`` is the history.
- ``.recording``: the private clone in which runs are recorded. It can be deleted at any time.
- ``MODEL-VERSION``: versions that ``models checkout`` has restored.
- ``cache``: DVC's cache, shared by all of them.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.state import published
from pantheon.versioning import pipeline, settings
from pantheon.versioning.commands import Git
from pantheon.workflow.run import Params

RUNS = "runs"  # the branch of recorded runs
REMOTE = "deployment"  # git's name for the history in the user's work tree; `origin` is left to the user
RUNS_THERE = f"{REMOTE}/{RUNS}"  # the branch's name in the user's work tree
TAGS = "+refs/tags/run/*:refs/tags/run/*"
TO_CHECK_OUT = "pantheon-checkout"  # in .git of the work tree: DVC's files do not match the commit yet
TIMEOUT = 900.0  # seconds to wait for the lock: another run, perhaps with millions of rows, is being recorded
# For the history: it cannot be rewritten, and git does not keep running in the background.
OPTIONS = {"receive.denyNonFastForwards": "true", "receive.denyDeletes": "true", "gc.autoDetach": "false"}


@dataclass(frozen=True)
class Prepared:
    """The user's work tree, and a warning why it does not have the keys of the S3 store; usually empty."""

    folder: Path
    warning: str


def history_of(state: Path) -> Path:
    return state / "repositories" / "main.git"


def work_tree_of(state: Path) -> Path:
    return state / "repositories" / "main"


def enabled(state: Path) -> bool:
    """Return whether this deployment's runs are recorded in DVC: from odysseus on."""
    return published(state).route.data == "dvc"


def is_repository(folder: Path) -> bool:
    """Return whether ``folder`` is the root of a git repository that is not bare."""
    return (folder / ".git" / "HEAD").exists()


def is_prepared(state: Path) -> bool:
    """Return whether ``prepare`` has nothing to do. Does not start git."""
    folder = work_tree_of(state)
    if not (history_of(state) / "HEAD").exists() or not _is_linked(folder):
        return False
    if not all(map(settings.applied, [folder, *checkouts(state)])):
        return False
    try:
        return settings.has(folder, settings.keys(state))
    except PantheonError:  # `prepare` reports it
        return False


def checkouts(state: Path) -> list[Path]:
    """Return the folders of restored versions that have the keys."""
    found = [path for path in sorted((state / "repositories").glob("[!.]*")) if path != work_tree_of(state)]
    return [path for path in found if is_repository(path) and settings.local_file(path).exists()]


@contextmanager
def locked(state: Path) -> Iterator[int]:
    """Hold the lock for recording a run, restoring a version or preparing: one at a time.

    Yields:
        The lock's descriptor.

    Raises:
        PantheonError: another process holds the lock for longer than ``TIMEOUT``.
    """
    (state / "repositories").mkdir(parents=True, exist_ok=True)
    try:
        with files.lock(state / "repositories" / ".lock", timeout=TIMEOUT) as descriptor:
            yield descriptor
    except files.Busy:
        raise PantheonError(
            "another run is still being recorded in DVC.", "Wait until it is finished: `bin/pantheon runs`", 1
        ) from None


def prepare(state: Path) -> Prepared:
    """Create the history and the user's work tree if they are missing; do not change existing ones.

    In a deployment of an older version, whose only repository is the work tree, the history is made from that.

    Raises:
        PantheonError: git is not installed, the deployment has no S3 store, or its keys are missing.
    """
    settings.keys(state)
    with locked(state):
        make_history(state)
        return prepare_work_tree(state)


def make_history(state: Path) -> None:
    """Create the bare repository if it is missing. The caller holds the lock."""
    history = history_of(state)
    if (history / "HEAD").exists():
        return
    history.mkdir(parents=True, exist_ok=True)
    files.remove_parts(history)
    part = files.part_of(
        history / "history"
    )  # inside it: in containers it is a mount, and nothing can be moved into it
    try:
        Git(state / "repositories", state)("init", "-q", "--bare", "-b", RUNS, str(part))
        git = Git(part, state)
        for name, value in OPTIONS.items():
            git("config", name, value)
        old = Git(work_tree_of(state), state)
        tip = is_repository(old.folder) and (old.commit_of("refs/heads/main") or old.head())
        if tip:
            there = f"../../{old.folder.name}"
            git("fetch", "-q", "--no-tags", there, TAGS)
            if not git.ok("cat-file", "-e", tip):
                git("fetch", "-q", "--no-tags", there, tip)
            git("update-ref", f"refs/heads/{RUNS}", tip)
        else:
            _first_commit(state, part.with_name(f"{part.name}.part"), git)
        _fill(part, history)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _first_commit(state: Path, folder: Path, history: Git) -> None:
    texts = {
        ".dvc/config": settings.config_text(state),
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "# Files that DVC ignores, as in .gitignore.\n",
        ".gitignore": (pipeline.TEMPLATE / "gitignore").read_text(encoding="utf-8"),
        "README.md": (pipeline.TEMPLATE / "README.md").read_text(encoding="utf-8"),
        "dvc.yaml": (pipeline.TEMPLATE / "dvc.yaml").read_text(encoding="utf-8"),
        "params.yaml": pipeline.params_text(Params()),
        "extensions/.gitkeep": "",
    }
    try:
        for name, text in texts.items():
            files.write_text(folder / name, text)
        git = Git(folder, state)
        git("init", "-q", "-b", RUNS)
        settings.apply(git)
        settings.identify(git)
        git("add", "--", *texts)
        git("commit", "-q", "-m", "A repository for the deployment's data, parameters and models")
        history("fetch", "-q", f"../{folder.name}", f"refs/heads/{RUNS}:refs/heads/{RUNS}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(part: Path, folder: Path) -> None:
    """Move the content of ``part`` to ``folder``, HEAD last: without it, git does not recognize a repository.

    Replaces leftovers of an interrupted call. Keeps the folder itself, which is mounted in containers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == "HEAD"):
        target = folder / path.name
        if target.is_dir():
            shutil.rmtree(target)
        path.rename(target)


# The user's work tree -------------------------------------------------------------------------------------------------


def prepare_work_tree(state: Path) -> Prepared:
    """Create the work tree if it is missing, and write DVC's keys; problems with the user's changes are only a warning.

    The caller holds the lock.
    """
    folder = work_tree_of(state)
    try:
        return Prepared(folder, _prepare_work_tree(state, folder))
    except PantheonError as error:
        return Prepared(folder, str(error))


def _prepare_work_tree(state: Path, folder: Path) -> str:
    if not is_repository(folder):
        if others := [path.name for path in folder.glob("*") if path.name != ".git"]:
            return (
                f"{folder} contains files ({others[0]} …) and is not a git repository. To get the deployment's work "
                "tree, move it away, then start again: `make tier-odysseus up`"
            )
        _make_work_tree(state, folder)
    git = Git(folder, state)
    settings.apply(git)
    if not _is_linked(folder):
        _link(git)
    for path in checkouts(state):
        with suppress(PantheonError, OSError):  # a broken checkout must not prevent anything else
            settings.apply(Git(path, state))
    warning = _unsafe(git)
    if not warning:
        settings.write_keys(state, folder)
    return warning


def _make_work_tree(state: Path, folder: Path) -> None:
    """Clone the history. Not `git worktree`: its absolute paths would be wrong in a container or outside of it."""
    part = files.part_of(folder)
    try:
        part.mkdir()
        git = Git(part, state)
        git("init", "-q", "-b", "main")
        settings.apply(git)  # before git can change the line ends of any file
        settings.identify(git)
        _link(git)
        git("fetch", "-q", REMOTE)
        git("reset", "-q", "--hard", RUNS_THERE)
        (git.private / TO_CHECK_OUT).touch()
        _remove_empty(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    """Remove what older versions created before the repository: an empty or incomplete ``.git``."""
    shutil.rmtree(folder / ".git", ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rmdir()


def _link(git: Git) -> None:
    """Make the history a remote, and the upstream of main; keep the user's settings."""
    git("config", f"remote.{REMOTE}.url", "../main.git")
    git("config", "--replace-all", f"remote.{REMOTE}.fetch", f"+refs/heads/{RUNS}:refs/remotes/{RUNS_THERE}")
    git("config", "--add", f"remote.{REMOTE}.fetch", TAGS)
    if not git.ok("config", "--local", "--get", "branch.main.remote"):
        git("config", "branch.main.remote", REMOTE)
        git("config", "branch.main.merge", f"refs/heads/{RUNS}")


def _is_linked(folder: Path) -> bool:
    try:
        return f'[remote "{REMOTE}"]' in (folder / ".git" / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _unsafe(git: Git) -> str:
    """Return why keys must not be written to the work tree: git tracks that file, or DVC's settings are missing."""
    if git("ls-files", "--", ".dvc/config.local", check=False):
        return (
            f"git tracks .dvc/config.local in {git.folder}, which has the keys of the S3 store. "
            f"Remove it: cd {git.folder} && git rm --cached .dvc/config.local && git commit -m 'No keys in git'. "
            "The commit contains the keys: do not push it."
        )
    if (git.folder / ".dvc" / "config").is_file():
        return ""
    last = git("log", "-1", "--all", "--format=%h", "--diff-filter=AM", "--", ".dvc/config", check=False)
    if git.ok("cat-file", "-e", "HEAD:.dvc/config"):
        cure = f"Restore it: cd {git.folder} && git checkout HEAD -- .dvc"
    elif git.ok("cat-file", "-e", "main:.dvc/config"):
        cure = f"Go back to a branch that has it: cd {git.folder} && git switch main"
    else:
        commit = last or RUNS_THERE
        cure = f"Restore it: cd {git.folder} && git checkout {commit} -- .dvc && git commit -m 'DVC again'"
    return f".dvc/config is missing in {git.folder}, so dvc does not work there. {cure}"
