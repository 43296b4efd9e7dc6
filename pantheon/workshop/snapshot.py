"""Copies of somebody's deployment while it is down, to go back to."""

import shutil
import subprocess
from pathlib import Path

from pantheon.errors import PantheonError


def copy(source: Path, target: Path) -> None:
    """Copy a folder with owners, modes, times and links. ``target`` is complete or does not exist.

    File systems that can share blocks (XFS, Btrfs) do so: the copy is made at once and takes no space.

    Raises:
        PantheonError: it could not be copied, such as because the disk is full.
    """
    part = target.with_name(f".{target.name}.part")
    remove(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["cp", "-a", "--reflink=auto", str(source), str(part)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        remove(part)
        lines = done.stderr.strip().splitlines()
        raise PantheonError(f"{source} could not be copied: {lines[-1] if lines else 'cp failed'}.", "", 1)
    part.rename(target)


def remove(folder: Path) -> None:
    """Delete a folder that may be missing."""
    if folder.is_dir():
        shutil.rmtree(folder)
