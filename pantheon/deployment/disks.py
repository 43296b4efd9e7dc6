"""Find full disks on which a deployment writes."""

import os
from pathlib import Path

FULL_BYTES, FULL_FILES = 1_000_000, 10  # less is left: full


def warnings(state: Path) -> list[str]:
    """Return a sentence with a remedy for every full disk that holds the state folder or a folder in it."""
    found: dict[int, str] = {}
    for folder in (state, *sorted(path for path in state.glob("*") if path.is_dir())):
        disk, where = os.statvfs(folder), folder.stat().st_dev
        left = disk.f_bavail * disk.f_frsize
        if where in found:
            continue
        if left < FULL_BYTES:
            found[where] = f"The disk of {folder} is full: {left / 1e6:.1f} MB are left."
        elif disk.f_files and disk.f_favail < FULL_FILES:
            found[where] = f"The disk of {folder} cannot hold more files (inodes): {disk.f_favail} are left."
    remedy = "Free some space there; the services run on, and what could not be written is written then."
    return [f"{what} {remedy}" for what in found.values()]
