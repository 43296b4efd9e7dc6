"""The files of exercises are valid."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.exercises import data
from pantheon.exercises.data import Exercise
from pantheon.tiers import Tier, all_tiers

BUILT = [tier for tier in all_tiers() if tier.built]
ALL = [exercise for tier in BUILT for exercise in data.of(tier)]
FILE = """
title = "A title"
minutes = 5
task = "A task"
hints = []
solution = ["true"]
[[checks]]
says = "It is so."
read = "status"
value = "tier"
"""


def tier(folder: Path, name: str, text: str) -> Tier:
    (folder / "exercises").mkdir()
    (folder / "exercises" / name).write_text(text)
    return Tier(1, "persephone", "the Persephone Protocol", "", "", True, folder)


@pytest.mark.parametrize("tier", BUILT, ids=[tier.name for tier in BUILT])
def test_a_built_tier_has_exercises_that_are_numbered_from_one(tier: Tier) -> None:
    numbers = [exercise.number for exercise in data.of(tier)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 2 <= len(numbers) <= 3


@pytest.mark.parametrize("exercise", ALL, ids=[f"{each.tier}-{each.number}" for each in ALL])
def test_an_exercise_has_a_task_that_fits_a_screen_a_hint_a_solution_and_checks(exercise: Exercise) -> None:
    assert len(exercise.task) < 1300
    assert exercise.hints
    assert exercise.solution
    assert exercise.checks
    assert all(check.says.endswith(".") for check in exercise.checks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FILE, "exactly one of is, not, at_least"),
        (FILE + 'is = "zeus"\nnot = "nemesis"\n', "exactly one of"),
        (FILE + 'is = "zeus"\nmore = 1\n', "more"),
        (FILE.replace("minutes = 5\n", "") + 'is = "zeus"\n', "minutes"),
        (FILE + "is = \n", "not valid"),
    ],
)
def test_a_file_that_is_not_valid_is_named_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    made = tier(tmp_path, "1-first.toml", text)
    with pytest.raises(PantheonError) as caught:
        data.of(made)
    assert str(tmp_path / "exercises" / "1-first.toml") in caught.value.cause
    assert says in caught.value.cause


def test_a_file_without_a_number_is_refused(tmp_path: Path) -> None:
    made = tier(tmp_path, "first.toml", FILE + 'is = "zeus"\n')
    with pytest.raises(PantheonError, match="does not begin with its number"):
        data.of(made)


def test_an_unknown_number_names_those_that_exist(tmp_path: Path) -> None:
    made = tier(tmp_path, "1-first.toml", FILE + 'is = "zeus"\n')
    assert data.find(made, 1).title == "A title"
    with pytest.raises(PantheonError, match=r"the Persephone Protocol has no exercise 2\. It has: 1\."):
        data.find(made, 2)
