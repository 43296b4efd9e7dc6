"""Close deployments to other users of this machine, and what runs from ``.pantheon``: that they may only read.

Commands create files with a umask of at least 022 (``bin/pantheon``). Older versions used the user's, so with the umask
000 other users could put bytecode into an environment. Its marker ``.closed`` says that it was checked, once.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pantheon.errors import PantheonError

PRIVATE = 0o700
OTHERS = 0o022  # group and others may write
MARKER = ".closed"
ENVIRONMENTS = ("envs", "bench")
SOURCES = ("pantheon", "serving", "dags")


def make_private(state: Path) -> None:
    """Create the deployment's folder with mode 0700; restrict the permissions of an existing one.

    Raises:
        PantheonError: the folder belongs to another user.
    """
    state.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    status = state.stat()
    if os.geteuid() not in (0, status.st_uid):
        raise PantheonError(
            f"{state} belongs to another user (uid {status.st_uid}).",
            "Run the command as that user, or choose another name for your deployment: NAME=…",
        )
    if status.st_mode & 0o077:
        state.chmod(PRIVATE)


def close(home: Path, root: Path) -> None:
    """Take the right to write from other users, in the folders that the current user owns.

    Args:
        home: the folder of deployments. Folders with the sticky bit, such as ``/tmp``, are not changed.
        root: the clone, which has the environments.
    """
    own = root / ".pantheon"
    environments = [own / "uv"]
    for folder in (home, own, own / "dockerfiles", *(own / name for name in ENVIRONMENTS)):
        _take(folder)
        if folder.name in ENVIRONMENTS and folder.is_dir():
            environments += [path for path in folder.iterdir() if not path.name.startswith(".")]
    unchecked = [path for path in environments if path.is_dir() and not (path / MARKER).exists()]
    sources = [root / name for name in SOURCES if unchecked and (root / name).is_dir()]
    for folder in (*unchecked, *sources):
        if folder.stat().st_uid == os.geteuid():
            _close(folder, bytecode_only=folder not in unchecked)
            if folder in unchecked:
                (folder / MARKER).touch()


def _close(folder: Path, bytecode_only: bool) -> None:
    """Close a folder and all below it. Bytecode that others could write is deleted: they may have written it."""
    if not bytecode_only:
        _take(folder)
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_symlink():
            continue
        inner = entry.is_dir()
        if inner and entry.name == "__pycache__" and entry.stat(follow_symlinks=False).st_mode & OTHERS:
            shutil.rmtree(entry.path, ignore_errors=True)
        elif inner:
            _close(Path(entry.path), bytecode_only)
        elif not bytecode_only:
            _take(Path(entry.path))


def _take(path: Path) -> None:
    with suppress(OSError):  # missing, or another user's
        mode = path.lstat().st_mode
        if mode & OTHERS and not mode & 0o1000 and not path.is_symlink():
            path.chmod(mode & 0o7777 & ~OTHERS)
