"""Store and merge a log, and be killed (SIGKILL) just before the n-th change of a file: every line of the input names
the deployment's folder and n; the answer is a line with how the process ended.

    python -m tests.support.killed_steps

Each is a fork of this process, which has all modules and no threads yet.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pantheon.predictions.compact import compact
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.ship import ship, storing

CHANGES = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate")


def work(state: Path) -> None:
    """Store the spool, merge what was stored, and remove what was replaced."""
    layout = Layout(FolderPlace(state / "predictions"))
    with storing(state / "spool"):
        ship(layout.place, state / "spool", layout)
        compact(layout, fewest=2)
        compact(layout, grace=0)


def killed(state: Path, step: int) -> None:
    left = step

    def changed(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        path = str(given[0]) if given else ""
        if not path.startswith(str(state)):
            return
        if event in CHANGES or (event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(changed)
    work(state)


def main() -> None:
    for line in sys.stdin:
        state, step = line.split()
        child = os.fork()
        if not child:
            killed(Path(state), int(step))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
