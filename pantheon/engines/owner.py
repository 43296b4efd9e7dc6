"""The user that containers run as: the owner of the state folder, so that only this user can read mode 0600 files."""

import os
from collections.abc import Iterable
from pathlib import Path

UNUSED_ID = 10001  # if root runs the command and owns the state folder: an ID that no account has


def owner_of(state: Path, rootless: bool) -> tuple[int, int]:
    """Return ``(uid, gid)`` for the containers of a deployment.

    Args:
        state: its state folder; may not exist yet.
        rootless: root in the engine is the current user.
    """
    if rootless:
        return 0, 0
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    status = state.stat() if state.exists() else None
    if status and status.st_uid:
        return status.st_uid, status.st_gid
    return UNUSED_ID, UNUSED_ID


def hand_over(folders: Iterable[Path], uid: int, gid: int) -> None:
    """Change the owner of folders and their content to the services' user, if this is root. Links are not followed."""
    if os.geteuid() != 0:
        return
    for folder in folders:
        _give(folder, uid, gid)


def _give(path: Path, uid: int, gid: int) -> None:
    """Resolve names against open folders, so that a container cannot redirect it by renaming files."""
    if path.is_symlink() or not path.is_dir():
        os.chown(path, uid, gid, follow_symlinks=False)
        return
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.fchown(descriptor, uid, gid)
        for name in [*folders, *files]:
            try:
                entry = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if (entry.st_uid, entry.st_gid) != (uid, gid):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue  # a service removed it in the meantime
