"""Another user of this machine, who has no rights: attacks that only root can set up."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

OTHER = 65533  # a uid and gid that no account has
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def as_other(command: list[str], folder: Path, given: str = "") -> str:
    """Return what a command of the other user prints, in ``folder``: its parents do not have to be accessible.

    Args:
        given: its standard input.
    """
    done = subprocess.run(
        [shutil.which(command[0], path="/usr/bin:/bin") or command[0], *command[1:]],
        cwd=folder, user=OTHER, group=OTHER, extra_groups=[], env={"PATH": "/usr/bin:/bin"},
        input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def accessible(folder: Path, *tests: str) -> list[str]:
    """Return the paths below ``folder``, relative to it, that the other user may read, or those that pass ``tests``."""
    wanted = tests or ("(", "-readable", "-o", "-writable", ")")
    found = as_other(["find", "-L", ".", "-mindepth", "1", *wanted], folder)
    return sorted(line.removeprefix("./") for line in found.splitlines())
