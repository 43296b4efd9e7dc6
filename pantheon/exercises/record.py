"""Which exercises somebody has passed: ``exercises.json`` in the deployment's folder."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pantheon import files, typed
from pantheon.exercises.data import Exercise

FILE = "exercises.json"
CURE = "Exercises that were passed are forgotten if you remove it."


class Work(msgspec.Struct):
    """What somebody did about an exercise.

    Attributes:
        tries: how often it was checked before it was passed.
        hints: how many hints were shown.
        solution: whether the solution was shown.
        passed: when it was passed first, ISO 8601; empty: not yet.
    """

    tries: int = 0
    hints: int = 0
    solution: bool = False
    passed: str = ""


class Record(msgspec.Struct):
    """``exercises.json``: the work by ``TIER/NUMBER``."""

    exercises: dict[str, Work] = msgspec.field(default_factory=dict)
    version: int = typed.VERSION

    def of(self, exercise: Exercise) -> Work:
        """Return the work on an exercise; empty if it was never tried."""
        return self.exercises.get(key(exercise)) or Work()


def key(exercise: Exercise) -> str:
    return f"{exercise.tier}/{exercise.number}"


def read(state: Path) -> Record:
    """Return the record of a deployment, given its folder.

    Raises:
        Damaged: the file is damaged.
    """
    return typed.read(state / FILE, Record, CURE) or Record()


def checked(state: Path, exercise: Exercise, ok: bool) -> Work:
    """Record that an exercise was checked, and return all work on it; what was passed once stays passed."""
    record = read(state)
    work = record.of(exercise)
    if not work.passed:
        work.tries += 1
        work.passed = datetime.now(UTC).isoformat(timespec="seconds") if ok else ""
    return _write(state, record, exercise, work)


def helped(state: Path, exercise: Exercise, hints: int = 0, solution: bool = False) -> Work:
    """Record that ``hints`` hints or the solution were shown, and return all work on the exercise."""
    record = read(state)
    work = record.of(exercise)
    if not work.passed:
        work.hints = max(work.hints, hints)
        work.solution = work.solution or solution
    return _write(state, record, exercise, work)


def _write(state: Path, record: Record, exercise: Exercise, work: Work) -> Work:
    record.exercises[key(exercise)] = work
    files.write_json(state / FILE, msgspec.to_builtins(record), mode=0o600)
    return work
