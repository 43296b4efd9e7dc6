"""Store and merge a log, or move it, and be killed (SIGKILL) just before the n-th change of a file: every line of the
input names what is done, the deployment's folder and n; the answer is a line with how the process ended.

    python -m tests.support.killed_steps

Each is a fork of this process, which has all modules and no threads yet.
"""

import sys
from pathlib import Path

from pantheon.predictions.compact import compact
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace, bring
from pantheon.predictions.ship import ship, storing
from tests.support.killing import killed


def work(state: Path) -> None:
    """Store the spool, merge what was stored, and remove what was replaced."""
    layout = Layout(FolderPlace(state / "predictions"))
    with storing(state / "spool"):
        ship(layout.place, state / "spool", layout)
        compact(layout, fewest=2)
        compact(layout, grace=0)


def leave(state: Path) -> None:
    """Move the log from the folder ``s3``, as if it were one, to the folder."""
    bring(FolderPlace(state / "s3"), FolderPlace(state / "predictions"))


def main() -> None:
    known = {"work": work, "leave": leave}
    for line in sys.stdin:
        what, state, step = line.split()
        print(killed(known[what], Path(state), int(step)), flush=True)


if __name__ == "__main__":
    main()
