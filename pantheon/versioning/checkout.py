"""A model version's parameters, spec, code and data back, in a repository of their own beside the main one."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pantheon
from pantheon.errors import PantheonError
from pantheon.store.base import ModelStore
from pantheon.versioning import launch, settings
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.versioning.repository import folder_of, identify, is_repository, locked, write_keys


def checkout(state: Path, store: ModelStore, model: str, version: str) -> dict[str, Any]:
    """``repositories/MODEL-VERSION``: the commit that the version was made of, and its data, bit for bit.

    What the cache lacks comes from the S3 store. ``dvc repro -f`` there makes the model again.

    Returns:
        ``{"path", "commit", "run", "there", "warning"}``; ``there``: it had been brought back before.

    Raises:
        PantheonError: the version was made without DVC, what is there has changes of somebody's own, or the commit or
            the data is not to be had.
    """
    described = store.describe(model, version)
    commit = (described.metadata.get("version_control") or {}).get("commit")
    if not commit:
        raise PantheonError(
            f"version {version} of {model} was made before DVC kept data and parameters: they cannot be brought back. "
            f"Known of it: {known(described.metadata)}.",
            f"All of it: bin/pantheon models show {version} --model {model}",
        )
    main, folder = folder_of(state), state / "repositories" / f"{model}-{version}"
    if not is_repository(main):
        raise PantheonError(f"{main} is missing, the repository that has it.", "Bring it up: make tier-odysseus up")
    lineage = json.loads((store.get(model, version) / "lineage.json").read_text(encoding="utf-8"))
    result = {"path": str(folder), "commit": commit, "run": lineage["run"], "warning": differs(lineage["code"])}
    with locked(state):
        if folder.exists():
            refuse_other(folder, state, commit)
            write_keys(state, folder)
            restore(folder, state)
            return result | {"there": True}
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            clone(main, part, state, commit, f"{model}-{version}")
            restore(part, state)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return result | {"there": False}


def known(metadata: Mapping[str, Any]) -> str:
    data, code = metadata.get("data") or {}, metadata.get("code") or {}
    told = [f"run {metadata['run']}" if metadata.get("run") else ""]
    told += [f"data {data.get('name')} with sha256 {str(data.get('sha256'))[:12]}…" if data else ""]
    told += [f"code {code.get('version')}" if code.get("version") else ""]
    return ", ".join(filter(None, told)) or "nothing"


def differs(code: Mapping[str, Any]) -> str:
    """Why figures may come out otherwise here, in words; empty where code and environment are those of the version."""
    import hashlib

    lock = launch.ROOT / "requirements" / "workflow.txt"
    if code["version"] != pantheon.__version__:
        return f"it was made by Pantheon {code['version']}, this is {pantheon.__version__}: figures may differ"
    if lock.exists() and code["lock_sha256"] and hashlib.sha256(lock.read_bytes()).hexdigest() != code["lock_sha256"]:
        return "it was made with other versions of libraries (requirements/workflow.txt): figures may differ"
    return ""


def refuse_other(folder: Path, state: Path, commit: str) -> None:
    """What is there is the version and nothing else."""
    away = "Move it away, then bring the version back again."
    if not (folder / ".git").exists():
        raise PantheonError(f"{folder} is there and is no repository.", away)
    git = Git(folder, state)
    changed = git.changed()
    if changed:  # `dvc repro -f` changes dvc.lock: times and reports are other ones
        raise PantheonError(
            f"{folder} is there and has changes of yours ({changed[0]} …).",
            f"Put them aside: cd {folder} && git stash; or move the folder away. Then bring the version back again.",
        )
    if git.head() != commit:
        raise PantheonError(f"{folder} is there and is at another commit.", away)


def clone(main: Path, folder: Path, state: Path, commit: str, branch: str) -> None:
    """A clone, not a git work tree, whose absolute paths would be wrong in a container or outside of it."""
    source = Git(main, state)
    if not source.ok("cat-file", "-e", f"{commit}^{{commit}}"):
        raise PantheonError(f"{main} has no commit {commit[:12]} any more, of which the version was made.", status=1)
    source("clone", "-q", "--local", "--no-checkout", ".", str(folder))
    git = Git(folder, state)
    settings.apply(git)  # before there is a file whose lines git could change
    identify(git)
    git("config", "remote.origin.url", f"../{main.name}")
    if not git.ok("cat-file", "-e", f"{commit}^{{commit}}"):  # on no branch or tag any more
        git("fetch", "-q", "origin", commit)
    git("checkout", "-q", "-B", branch, commit)
    write_keys(state, folder)


def restore(folder: Path, state: Path) -> None:
    """The files that DVC keeps: links into the cache; what it lacks comes from the remote."""
    dvc = Dvc(folder, state)
    try:
        dvc("checkout")
    except PantheonError:
        dvc("pull", "-r", "store")  # and from no other remote that somebody has made the default
