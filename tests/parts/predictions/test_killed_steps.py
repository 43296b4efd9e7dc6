"""kill -9 before every single change of a file while the log is stored and merged: nothing is lost or doubled."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

from pantheon.predictions.place import FolderPlace
from pantheon.predictions.read import predictions
from tests.support import ROOT
from tests.support.killed_steps import work
from tests.support.prediction_writer import environment
from tests.support.predictions import answered, said, segment

SEGMENTS = 2


def test_killed_at_every_step_of_storing_and_merging(tmp_path: Path) -> None:
    new = tmp_path / "new"
    expected = add(new)
    work(new)  # so that merged files are merged again, too
    expected += add(new)
    command = [sys.executable, "-m", "tests.support.killed_steps"]
    ended = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        for step in itertools.count(1):
            state = tmp_path / "state"
            shutil.copytree(new, state)
            process.stdin.write(f"{state} {step}\n")
            process.stdin.flush()
            ended = process.stdout.readline().strip()
            assert rows(state) == expected, step
            if ended == "0":
                break
            assert ended == "-9"
            work(state)
            assert rows(state) == expected, step
            shutil.rmtree(state)
        process.stdin.close()
    assert step > 30, "so many changes there are, at least"


def add(state: Path) -> list[tuple[str, bool]]:
    """Write segments of one answer with its feedback each; return what ``rows`` is to have of them."""
    records = [answered() for _ in range(SEGMENTS)]
    for record in records:
        segment(state / "spool", [(record, {"a": 1}, 0)], [said(record.id)])
    return [(record.id, True) for record in records]


def rows(state: Path) -> list[tuple[str, bool]]:
    found = predictions(FolderPlace(state / "predictions"), state / "spool")
    return sorted(found.select("id", "correct").rows())
