"""Restore a model version's parameters, spec, code and data, in a separate repository beside the work tree."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import pantheon
from pantheon import files
from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.versioning import launch, settings
from pantheon.versioning.commands import Dvc, Git
from pantheon.versioning.repository import history_of, is_repository, locked, make_history, work_tree_of


class Checkout(TypedDict):
    """A restored version.

    Attributes:
        path: its folder.
        commit, run: the commit and run that it was made from.
        there: whether it was restored before.
        warning: why its metrics may differ if it is trained again here; empty if they should not.
    """

    path: str
    commit: str
    run: str
    there: bool
    warning: str


def checkout(state: Path, store: ModelStore, model: str, version: str) -> Checkout:
    """Restore the commit that the version was made from, and its data, to ``repositories/MODEL-VERSION``.

    Data that is missing in the cache comes from the S3 store. ``dvc repro -f`` in that folder trains the model again.

    Raises:
        PantheonError: the version was made without DVC, its folder has changes of the user's, or the commit or the data
            is missing.
    """
    described = store.describe(model, version)
    commit = (described.metadata.get("version_control") or {}).get("commit")
    if not commit:
        raise PantheonError(
            f"version {version} of {model} was made before this deployment had DVC: its data and parameters cannot be "
            f"restored. Recorded: {recorded_about(described.metadata)}.",
            f"Show its details: `bin/pantheon models show {version} --model {model}`",
        )
    folder = state / "repositories" / f"{model}-{version}"
    lineage = json.loads((store.get(model, version) / "lineage.json").read_text(encoding="utf-8"))
    restored: Checkout = {
        "path": str(folder),
        "commit": commit,
        "run": lineage["run"],
        "there": folder.exists(),
        "warning": differs(lineage["code"]),
    }
    with locked(state) as lock, Dvc(state, lock) as dvc:
        if folder.exists():
            refuse_other(folder, state, commit)
            settings.write_keys(state, folder)
            restore(folder, dvc)
            return restored
        if not (history_of(state) / "HEAD").exists() and not is_repository(work_tree_of(state)):
            raise PantheonError(
                f"the repository of recorded runs is missing: {history_of(state)}.",
                "Start the deployment: `make tier-odysseus up`",
            )
        dvc.start()
        make_history(state)
        part = files.part_of(folder)
        try:
            clone(part, state, commit, f"{model}-{version}")
            restore(part, dvc)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return restored


def recorded_about(metadata: Mapping[str, Any]) -> str:
    data, code = metadata.get("data") or {}, metadata.get("code") or {}
    facts = [f"run {metadata['run']}" if metadata.get("run") else ""]
    facts += [f"data {data.get('name')} with sha256 {str(data.get('sha256'))[:12]}…" if data else ""]
    facts += [f"code {code.get('version')}" if code.get("version") else ""]
    return ", ".join(filter(None, facts)) or "nothing"


def differs(code: Mapping[str, Any]) -> str:
    """Return why metrics may differ here; empty if code and environment are the same as the version's."""
    lock = launch.ROOT / "requirements" / "workflow.txt"
    if code["version"] != pantheon.__version__:
        return f"it was made by Pantheon {code['version']}, this is {pantheon.__version__}: figures may differ"
    if lock.exists() and code["lock_sha256"] and hashlib.sha256(lock.read_bytes()).hexdigest() != code["lock_sha256"]:
        return "it was made with other versions of libraries (requirements/workflow.txt): figures may differ"
    return ""


def refuse_other(folder: Path, state: Path, commit: str) -> None:
    """Raise PantheonError if the folder does not have this version, unchanged."""
    away = "Move it away, then check the version out again."
    if not is_repository(folder):
        raise PantheonError(f"{folder} exists and is not a git repository.", away)
    git = Git(folder, state)
    changed = git.changed()
    if changed:  # `dvc repro -f` changes dvc.lock: times and reports differ
        raise PantheonError(
            f"{folder} exists and has changes of yours ({changed[0]} …).",
            f"Stash them: cd {folder} && git stash; or move the folder away. Then check the version out again.",
        )
    if git.head() != commit:
        raise PantheonError(f"{folder} exists and is at another commit.", away)


def clone(folder: Path, state: Path, commit: str, branch: str) -> None:
    """Create a clone; a git worktree has absolute paths, which would be wrong in a container or outside of it."""
    folder.mkdir()
    git = Git(folder, state)
    git("init", "-q", "-b", branch)
    settings.apply(git)  # before git can change the line ends of any file
    settings.identify(git)
    git("remote", "add", "origin", "../main.git")
    git("fetch", "-q", "origin", "refs/heads/*:refs/remotes/origin/*", "refs/tags/*:refs/tags/*")
    # A commit without branch or tag: its run was recorded twice, perhaps by an older version in the work tree.
    for source in ("../main.git", f"../{work_tree_of(state).name}"):
        if not git.commit_of(commit):
            git.run("fetch", "-q", "--no-tags", source, commit)
    if not git.commit_of(commit):
        raise PantheonError(
            f"the version's commit {commit[:12]} is missing from {history_of(state)}.",
            status=1,
        )
    git("checkout", "-q", "-B", branch, commit)
    settings.write_keys(state, folder)


def restore(folder: Path, dvc: Dvc) -> None:
    """Restore the files that DVC stores: links into the cache; missing data comes from the remote."""
    try:
        dvc(folder, "checkout")
    except PantheonError:
        dvc(folder, "pull", "-r", "store")  # not from another remote, which a user may have made the default
