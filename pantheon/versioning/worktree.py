"""Fast-forward the user's work tree to the recorded runs, unless changes of the user's prevent it."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import pipeline, settings
from pantheon.versioning.commands import Dvc, Git, is_busy
from pantheon.versioning.repository import RUNS, RUNS_THERE, TAGS, TO_CHECK_OUT, is_repository, work_tree_of

LOCK, POINTER = "dvc.lock", f"{pipeline.SOURCE}.dvc"
PART = re.compile(r"\..*\.part")  # incomplete files of a stage
MAX_FILES = 3  # named in a message


class Kept(Exception):
    """The work tree was not changed.

    Attributes:
        why: what prevents the fast-forward.
        first: the commands to run before the run can be merged.
    """

    def __init__(self, why: str, first: str = "") -> None:
        super().__init__(why)
        self.why, self.first = why, first


def fast_forward(state: Path, dvc: Dvc) -> str:
    """Move the work tree's branch main to the newest recorded run, and check out its data.

    Returns:
        One line with the reason why the work tree was not moved, and how to get the run; empty on success.
    """
    folder = work_tree_of(state)
    git = Git(folder, state)
    try:
        _fast_forward(git, dvc)
    except Kept as why:
        how = f"{why.first}git merge {RUNS_THERE} && dvc checkout"
        return f"The work tree repositories/main was not moved: {why.why}. To get the run: {how}"
    except (PantheonError, OSError) as error:
        cause = error.cause if isinstance(error, PantheonError) else f"{error}."
        return f"The work tree repositories/main was not moved: {cause} The run is on branch {RUNS} of main.git"
    return ""


def _fast_forward(git: Git, dvc: Dvc) -> None:
    """Raise Kept if changes of the user's prevent the fast-forward."""
    if not is_repository(git.folder):
        raise Kept("it is not a git repository")
    fetch(git)
    tip, head, branch = git.commit_of(f"refs/remotes/{RUNS_THERE}"), git.head(), git.branch()
    pending = git.private / TO_CHECK_OUT
    if head == tip and not pending.exists():
        return
    if branch != "main":
        raise Kept(
            f"it is on branch {branch}" if branch else "it is on no branch (a detached HEAD)", "git switch main && "
        )
    if what := git.unfinished():
        raise Kept(f"{what} is not finished", "finish or abort it (`git status` shows how), then ")
    if changed := git.changed():
        raise Kept(f"changes are not committed: {listed(changed)}", "git stash && ")
    if head != tip and git.contains(head, tip):
        return  # the user's commits are on top of every run
    if not git.contains(tip, head):
        raise Kept("main has commits of yours that the recorded runs do not have")
    if is_busy(git.folder):
        raise Kept("dvc is at work there", "wait for it, then ")
    if uncached := uncached_files(git.folder):
        raise Kept(f"not in DVC's cache: {listed(uncached)}", "move that away, then ")
    settings.validate(git.folder)
    pending.touch()
    if head != tip:
        done = git.run("merge", "-q", "--ff-only", tip)
        if done.returncode:  # an untracked file, a change since the check …: git has not moved anything
            pending.unlink(missing_ok=True)
            raise Kept(
                " ".join(done.stderr.split()).removeprefix("error: ").split(" Please ")[0].rstrip("."),
                "move that away, then ",
            )
    try:
        recorded = stages(git.folder, LOCK)
        dvc(git.folder, "checkout", *targets(git, recorded))
        remove_others(git.folder, recorded)
    except PantheonError as error:
        raise PantheonError(f"its data is not complete: {error.cause} Get it: dvc pull -r store.") from error
    pending.unlink(missing_ok=True)


def fetch(git: Git) -> None:
    """Fetch the recorded runs into the work tree's repository: objects, tags and the remote's branch, without files.

    Uses the path instead of the remote's name, whose address the user may have changed.
    """
    git("fetch", "-q", "--no-tags", "../main.git", f"+refs/heads/{RUNS}:refs/remotes/{RUNS_THERE}", TAGS)


def targets(git: Git, ours: list[str]) -> list[str]:
    """Return the targets for DVC for a run's stages ``ours`` and its ``data/source``.

    Empty, which means all stages and files, unless the user has others, whose outputs may be missing: with names, DVC
    takes three times as long.
    """
    others = [name for name in git.files() if name.endswith(".dvc") and name != POINTER]
    return [] if set(stages(git.folder, "dvc.yaml")) == set(ours) and not others else [*ours, POINTER]


def stages(folder: Path, name: str) -> list[str]:
    """Return all stages in ``dvc.yaml``, or the workflow's stages in ``dvc.lock``."""
    path = folder / name
    found = pipeline.parse(path.read_text(encoding="utf-8"), name).get("stages") if path.exists() else {}
    return [stage for stage in found or {} if name != LOCK or stage in pipeline.outputs()]


def remove_others(folder: Path, recorded: list[str]) -> None:
    """Remove outputs of the workflow's stages that the commit does not have; keep files that are not in the cache."""
    cache = settings.cache_of(folder) / "files" / "md5"
    for stage, names in pipeline.outputs().items():
        for place in (folder / name for name in names if stage not in recorded and name not in pipeline.IN_GIT):
            for path in list(under(place)):
                if _cached(path, cache, ""):
                    path.unlink()
            for root, _, _ in os.walk(place, topdown=False):
                with suppress(OSError):  # it is not empty
                    Path(root).rmdir()


def listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_FILES]) + (f" and {len(names) - MAX_FILES} more" if names[MAX_FILES:] else "")


# Files in the places that DVC manages ---------------------------------------------------------------------------------


def places() -> list[str]:
    """Return the files and folders whose content DVC stores."""
    outputs = pipeline.outputs().values()
    return [pipeline.SOURCE, *(name for names in outputs for name in names if name not in pipeline.IN_GIT)]


def under(place: Path) -> Iterator[Path]:
    """Yield every file and link at ``place`` or below."""
    if place.is_symlink() or place.is_file():
        yield place
        return
    for root, folders, names in os.walk(place):
        for path in (Path(root, name) for name in (*sorted(names), *folders)):
            if path.is_symlink() or not path.is_dir():
                yield path


def uncached_files(folder: Path) -> list[str]:
    """Return files in these places that are not in DVC's cache: `dvc checkout` would delete them permanently."""
    cache = settings.cache_of(folder) / "files" / "md5"
    expected = _checked_out(folder, cache)
    return [
        str(path.relative_to(folder))
        for name in places()
        for path in under(folder / name)
        if not _cached(path, cache, expected.get(str(path.relative_to(folder)), ""))
    ]


def _cached(path: Path, cache: Path, expected: str) -> bool:
    if not path.is_file():  # a link to a folder, or to nothing
        return False
    if PART.fullmatch(path.name) and not path.is_symlink():
        return True
    if expected and _object(cache, expected).exists() and path.samefile(_object(cache, expected)):
        return True  # a link into the cache, as DVC makes it: no need to read it
    with path.open("rb") as opened:
        md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return _object(cache, md5).is_file()


def _checked_out(folder: Path, cache: Path) -> dict[str, str]:
    """Return file → MD5 from ``dvc.lock`` and ``data/source.dvc``; skip what cannot be read."""
    found: dict[str, str] = {}
    try:
        lock = pipeline.parse((folder / LOCK).read_text(encoding="utf-8"), LOCK)
        pointer = pipeline.parse((folder / POINTER).read_text(encoding="utf-8"), POINTER)
        outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
        outs += [{**out, "path": f"data/{out['path']}"} for out in pointer["outs"]]
        for out in outs:
            if out["md5"].endswith(".dir"):
                entries = json.loads(_object(cache, out["md5"]).read_bytes())
                found |= {f"{out['path']}/{entry['relpath']}": entry["md5"] for entry in entries}
            else:
                found[out["path"]] = out["md5"]
    except (PantheonError, OSError, ValueError, AttributeError, KeyError, TypeError):
        pass  # the caller then reads every file
    return found


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
