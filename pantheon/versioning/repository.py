"""The deployment's repository: git and DVC in ``STATE/repositories/main``, made once, whole or not at all."""

import configparser
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import launch, pipeline
from pantheon.versioning.git import Git
from pantheon.workflow.run import Params, atomic

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


def keys_text(state: Path) -> str:
    """What ``.dvc/config.local`` is to say: the keys, and where the remote is now, whatever an old commit says.

    Raises:
        PantheonError: the keys are missing, or the deployment has no S3 store.
    """
    file = Path(os.environ.get("SECRETS_DIR") or state / "secrets") / "s3" / "credentials"
    keys = configparser.ConfigParser(interpolation=None)
    if not keys.read(file, encoding="utf-8") or "default" not in keys:
        raise PantheonError(f"the keys of the S3 store are missing: {file}.", "Make them: make tier-odysseus up")
    lines = ["['remote \"store\"']", f"    url = {remote(state)}"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    for theirs, ours in zip(names, ("access_key_id", "secret_access_key", "session_token"), strict=True):
        if keys["default"].get(theirs):
            lines.append(f"    {ours} = {keys['default'][theirs]}")
    return "\n".join(lines) + "\n"


def has_keys(state: Path, folder: Path) -> bool:
    path = folder / ".dvc" / "config.local"
    return path.exists() and path.read_text(encoding="utf-8") == keys_text(state)


def write_keys(state: Path, folder: Path) -> None:
    """``.dvc/config.local``: readable by the owner alone, ignored by git; written anew where it changed."""
    if has_keys(state, folder):
        return
    with atomic(folder / ".dvc" / "config.local") as part:
        part.touch(0o600)  # before there is anything in it
        part.write_text(keys_text(state), encoding="utf-8")


def is_prepared(state: Path) -> bool:
    """Whether ``prepare`` would find nothing to do."""
    return is_repository(folder_of(state)) and has_keys(state, folder_of(state))


def is_repository(folder: Path) -> bool:
    """Whether git has begun there; an empty ``.git`` is there from the first tier on, since the button looks at it."""
    return (folder / ".git" / "HEAD").exists()


def prepare(state: Path) -> Path:
    """The repository, made where there is none; what is there stays as it is, but for the keys.

    Returns:
        Its folder.

    Raises:
        PantheonError: git is not installed, or the deployment has no S3 store.
    """
    folder = folder_of(state)
    if not is_repository(folder):
        part = folder.with_name(f".main.{os.getpid()}.part")
        try:
            _make(state, part)
            _place(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    write_keys(state, folder)
    return folder


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
