"""Kill work (SIGKILL) just before the n-th change of a file below a folder, in a fork of this process.

Needs only the standard library. The process that forks has all modules, and no threads yet.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree")


def killed(work: Callable[[Path], None], folder: Path, step: int, but: tuple[str, ...] = ()) -> int:
    """Return how the fork ended: 0, the work was done before its n-th change; -9, it was killed.

    Args:
        but: ends of the names of files that do not count.
    """
    child = os.fork()
    if not child:
        _count(folder, step, but)
        work(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _count(folder: Path, step: int, but: tuple[str, ...]) -> None:
    left = step

    def changed(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        path = str(given[0]) if given else ""
        if not path.startswith(str(folder)) or (but and path.endswith(but)):
            return
        if event in CHANGES or (event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(changed)
