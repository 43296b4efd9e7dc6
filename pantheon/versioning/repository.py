"""The deployment's repository: git and DVC in ``STATE/repositories/main``, made once, whole or not at all."""

import configparser
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import launch, pipeline, settings
from pantheon.versioning.git import Git
from pantheon.workflow.run import Params

NAME, EMAIL = "Pantheon", "pantheon@localhost"
PATIENCE = 900.0  # seconds: another run is being recorded, of millions of rows perhaps
LOOK = 0.1


def folder_of(state: Path) -> Path:
    return state / "repositories" / "main"


def enabled(state: Path) -> bool:
    """Whether this deployment's runs are recorded in DVC: from odysseus on."""
    route = launch.read(state / "state" / "deployment.json").get("route") or {}
    return bool(route.get("data") == "dvc")


def remote(state: Path) -> str:
    """Where DVC's remote is, such as ``s3://pantheon/dvc``.

    Raises:
        PantheonError: the deployment has no S3 store.
    """
    bucket = launch.read(state / "state" / "store.json").get("bucket")
    if not bucket:
        raise PantheonError(
            "this deployment has no S3 store, which DVC keeps its data in.", "Bring it up: make tier-odysseus up"
        )
    return f"s3://{bucket}/dvc"


def config_text(state: Path) -> str:
    """``.dvc/config``: no secret, no address, no path of this machine."""
    region = launch.read(state / "state" / "store.json").get("region") or "us-east-1"
    return f"""[core]
    remote = store
    analytics = false
    autostage = true
    check_update = false
[cache]
    dir = ../../cache
    type = "reflink,hardlink,copy"
['remote "store"']
    url = {remote(state)}
    region = {region}
"""


def keys(state: Path) -> dict[str, str]:
    """What ``.dvc/config.local`` is to say of the remote: its keys, and where it is now, whatever an old commit says.

    Raises:
        PantheonError: the keys are missing, or the deployment has no S3 store.
    """
    file = Path(os.environ.get("SECRETS_DIR") or state / "secrets") / "s3" / "credentials"
    there = configparser.ConfigParser(interpolation=None)
    if not there.read(file, encoding="utf-8") or "default" not in there:
        raise PantheonError(f"the keys of the S3 store are missing: {file}.", "Make them: make tier-odysseus up")
    found = {"url": remote(state)}
    for name in ("access_key_id", "secret_access_key", "session_token"):
        if value := there["default"].get(f"aws_{name}"):
            found[name] = value
    return found


def write_keys(state: Path, folder: Path) -> None:
    """The keys into ``.dvc/config.local``, where git has been told to leave it alone; written anew where they changed.

    Raises:
        PantheonError: the keys are missing, or the deployment has no S3 store, or that file cannot be read.
    """
    settings.apply(Git(folder, state))
    wanted = keys(state)
    if not settings.has(folder, wanted):
        settings.write(folder, wanted)


def is_prepared(state: Path) -> bool:
    """Whether ``prepare`` would find nothing to do; asks no git, so that a branch without DVC is in no way yet."""
    folder = folder_of(state)
    told = is_repository(folder) and all(map(settings.applied, [folder, *checkouts(state)]))
    return told and settings.has(folder, keys(state))


def checkouts(state: Path) -> list[Path]:
    """The repositories beside the main one that have its keys too: those that versions were brought back to."""
    found = [path for path in sorted(folder_of(state).parent.glob("[!.]*")) if path != folder_of(state)]
    return [path for path in found if is_repository(path) and settings.local_file(path).exists()]


def is_repository(folder: Path) -> bool:
    """Whether git has begun there; an empty ``.git`` is there from the first tier on, since the button looks at it."""
    return (folder / ".git" / "HEAD").exists()


def prepare(state: Path) -> Path:
    """The repository, made where there is none; what is there stays as it is, but for its keys and git's settings.

    Returns:
        Its folder.

    Raises:
        PantheonError: git is not installed, the deployment has no S3 store, or the keys would not be safe.
    """
    folder = folder_of(state)
    if not is_repository(folder):
        part = folder.with_name(f".main.{os.getpid()}.part")
        try:
            _make(state, part)
            _place(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    git = Git(folder, state)
    settings.apply(git)
    for path in checkouts(state):
        with suppress(PantheonError, OSError):  # what somebody has made of that one is in nobody's way here
            settings.apply(Git(path, state))
    _refuse_unsafe(git)
    write_keys(state, folder)
    return folder


def _refuse_unsafe(git: Git) -> None:
    """Keys are only put where DVC's own settings are, and where git does not keep them.

    Raises:
        PantheonError: ``.dvc/config`` is missing, or git tracks ``.dvc/config.local``.
    """
    if git("ls-files", "--", ".dvc/config.local"):
        raise PantheonError(
            f"git keeps .dvc/config.local in {git.folder}, which has the keys of the S3 store.",
            f"Take it out: cd {git.folder} && git rm --cached .dvc/config.local && git commit -m 'No keys in git'. "
            "Whoever has that commit knows the keys: do not push it.",
        )
    if (git.folder / ".dvc" / "config").is_file():
        return
    last = git("log", "-1", "--all", "--format=%h", "--diff-filter=AM", "--", ".dvc/config", check=False)
    if git.ok("cat-file", "-e", "HEAD:.dvc/config"):
        cure = f"Bring it back: cd {git.folder} && git checkout HEAD -- .dvc"
    elif git.ok("cat-file", "-e", "main:.dvc/config"):
        cure = f"Go back to a branch that has it: cd {git.folder} && git switch main"
    elif last:
        cure = f"Bring it back: cd {git.folder} && git checkout {last} -- .dvc && git commit -m 'DVC again'"
    else:
        cure = "Move that folder away, then bring up again: make tier-odysseus up"
    raise PantheonError(f".dvc/config is missing in {git.folder}, without which DVC does not know its store.", cure)


def _place(part: Path, folder: Path) -> None:
    """Move what was made to where it belongs: git's HEAD last, without which nothing is a repository.

    What an earlier try left is replaced; the folder ``.git`` itself stays: containers have it mounted.
    """
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    ours = {path.name for path in part.iterdir()}
    for path in folder.iterdir():
        if path.name not in ours:
            raise PantheonError(
                f"{folder} has files ({path.name} …) and is no git repository.", "Move it away, then bring up again."
            )
    inside = sorted((part / ".git").iterdir(), key=lambda path: path.name == "HEAD")
    for path in [*(each for each in part.iterdir() if each.name != ".git"), *inside]:
        target = folder / path.relative_to(part)
        if target.is_dir():
            shutil.rmtree(target)
        path.rename(target)


def _make(state: Path, folder: Path) -> None:
    texts = {
        ".dvc/config": config_text(state),
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "# What DVC is not to look at, as in .gitignore.\n",
        ".gitignore": (pipeline.TEMPLATE / "gitignore").read_text(encoding="utf-8"),
        "README.md": (pipeline.TEMPLATE / "README.md").read_text(encoding="utf-8"),
        "dvc.yaml": (pipeline.TEMPLATE / "dvc.yaml").read_text(encoding="utf-8"),
        "params.yaml": pipeline.params_text(Params()),
        "extensions/.gitkeep": "",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git = Git(folder, state)
    git("init", "-q", "-b", "main")
    settings.apply(git)
    identify(git)
    git("add", "--", *texts)
    git("commit", "-q", "-m", "A repository for the deployment's data, parameters and models")


def identify(git: Git) -> None:
    """Who commits here, in a container too, where nobody has told git a name."""
    git("config", "user.name", NAME)
    git("config", "user.email", EMAIL)


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """One at a time: whoever records a run, or brings a version back. The lock is the kernel's: the dead hold none.

    Raises:
        PantheonError: another one goes on for too long.
    """
    end = time.monotonic() + PATIENCE
    with (state / "repositories" / ".lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise PantheonError(
                        "another run is being recorded in DVC, and does not end.", "Wait for it: bin/pantheon runs", 1
                    ) from None
            time.sleep(LOOK)
        yield
