"""Check feedback of other systems: ``python -m pantheon.predictions.feedback_task``, a task of the workflow.

Standard input is a table with the columns of ``importing.COLUMNS``. Standard output gets what can be sent to the
endpoint, one JSON object a line, and directly after it a CSV file of the rows that are refused; the event ``checked``
tells how large each is. See ``pantheon.file_task``.
"""

import argparse
from pathlib import Path

from pantheon import file_task


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pantheon.predictions.feedback_task", description=__doc__)
    top.add_argument("--file", required=True, help="its name")
    top.add_argument("--called", required=True, help="its path as the user typed it, for messages")
    top.add_argument("--size", required=True, type=int, help="its size in bytes")
    top.add_argument("--at", required=True, help="when it was said, where the file does not tell (ISO 8601)")
    return top


def main() -> None:
    args = parser().parse_args()

    def work(state: Path, folder: Path, data: int) -> None:
        from pantheon.predictions.feedback_file import check  # imports polars

        check(state, folder, data, args)

    file_task.main("checking", args.called, work)


if __name__ == "__main__":
    main()
