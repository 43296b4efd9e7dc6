"""Who containers run as: the owner of the state folder, so that files of mode 0600 are for it alone."""

import os
from collections.abc import Iterable
from pathlib import Path

NOBODYS = 10001  # where root invokes and the state folder is root's: an id that no account of a machine has


def owner_of(state: Path, rootless: bool) -> tuple[int, int]:
    """``(uid, gid)`` for the containers of a deployment.

    Args:
        state: its state folder; may not be there yet.
        rootless: the engine's root is this user.
    """
    if rootless:
        return 0, 0
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    found = state.stat() if state.exists() else None
    if found and found.st_uid:
        return found.st_uid, found.st_gid
    return NOBODYS, NOBODYS


def hand_over(folders: Iterable[Path], uid: int, gid: int) -> None:
    """Give folders, and what is in them, to whom the services run as; only root has to. Links are not followed."""
    if os.geteuid() != 0:
        return
    for folder in folders:
        _give(folder, uid, gid)


def _give(path: Path, uid: int, gid: int) -> None:
    """Names are resolved against open folders: what a container renames meanwhile leads nowhere else."""
    if path.is_symlink() or not path.is_dir():
        os.chown(path, uid, gid, follow_symlinks=False)
        return
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.fchown(descriptor, uid, gid)
        for name in [*folders, *files]:
            try:
                entry = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if (entry.st_uid, entry.st_gid) != (uid, gid):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue  # a service removed it meanwhile
