"""kill -9 before every single change of a file while the log is stored, merged, moved: nothing is lost or doubled."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pantheon.predictions.compact import compact
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace, bring
from pantheon.predictions.read import predictions
from pantheon.predictions.ship import ship, storing
from tests.support import ROOT
from tests.support.killed_steps import leave, work
from tests.support.prediction_writer import environment
from tests.support.predictions import answered, said, segment

SEGMENTS = 2


def test_killed_at_every_step_of_storing_and_merging(tmp_path: Path) -> None:
    new = tmp_path / "new"
    expected = add(new)
    work(new)  # so that merged files are merged again, too
    expected += add(new)
    for state in killed_everywhere("work", new, tmp_path / "state"):
        assert rows(state) == expected
        work(state)
        assert rows(state) == expected


def test_killed_at_every_step_of_a_move_out_of_s3(tmp_path: Path) -> None:
    """The next attempt goes on, or the log's service brings everything back."""
    new = tmp_path / "new"
    expected = add(new)
    work(new)
    expected += add(new)
    with storing(new / "spool"):
        ship(FolderPlace(new / "predictions"), new / "spool")
    compact(Layout(FolderPlace(new / "predictions")), fewest=2)  # what is replaced is still there
    (new / "predictions").rename(new / "s3")
    for state in killed_everywhere("leave", new, tmp_path / "state"):
        back = tmp_path / "back"
        shutil.copytree(state, back)
        bring(FolderPlace(back / "predictions"), FolderPlace(back / "s3"))
        assert rows(back, "s3") == expected
        shutil.rmtree(back)
        leave(state)
        assert rows(state) == expected
        assert not [*FolderPlace(state / "s3").list()]


def killed_everywhere(what: str, new: Path, state: Path) -> Iterator[Path]:
    """Yield ``state``, a copy of ``new``, after a kill at every step of the work; at last, after the whole of it."""
    command = [sys.executable, "-m", "tests.support.killed_steps"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        for step in itertools.count(1):
            shutil.copytree(new, state)
            process.stdin.write(f"{what} {state} {step}\n")
            process.stdin.flush()
            ended = process.stdout.readline().strip()
            yield state
            if ended == "0":
                break
            assert ended == "-9"
            shutil.rmtree(state)
        process.stdin.close()
    assert step > 30, "so many changes there are, at least"


def add(state: Path) -> list[tuple[str, bool]]:
    """Write segments of one answer with its feedback each; return what ``rows`` is to have of them."""
    records = [answered() for _ in range(SEGMENTS)]
    for record in records:
        segment(state / "spool", [(record, {"a": 1}, 0)], [said(record.id)])
    return [(record.id, True) for record in records]


def rows(state: Path, folder: str = "predictions") -> list[tuple[str, bool]]:
    found = predictions(FolderPlace(state / folder), state / "spool")
    return sorted(found.select("id", "correct").rows())
