"""Every exercise fails before its solution and passes after it, on a deployment of its tier."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.exercises import data
from pantheon.tiers import all_tiers, find
from tests.support import ROOT
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon

FIRST, *HIGHER = [tier.name for tier in all_tiers() if tier.built]
TIERS = [pytest.param(FIRST, marks=pytest.mark.slow), *(pytest.param(t, marks=pytest.mark.long) for t in HIGHER)]


@pytest.fixture(scope="module", params=TIERS)
def at_tier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pantheon]]:
    """A deployment of the tier with its first model. Its name is not the default one, so commands must name it."""
    made = make_pantheon(tmp_path_factory.mktemp(request.param), TRIALS="2", NAME="class")
    try:
        made("up", request.param)
        yield request.param, made
    finally:
        made("destroy", "--confirm", "yes")
    assert_nothing_left(made.home)


@pytest.mark.timeout(1800)
def test_every_exercise_fails_before_its_solution_and_passes_after_it(at_tier: tuple[str, Pantheon]) -> None:
    tier, made = at_tier
    for exercise in data.of(find(tier)):
        before = made("exercise", tier, "--n", str(exercise.number), "--json", check=False)
        assert before.status == 1, f"exercise {exercise.number} is passed before anybody did anything: {before.out}"
        assert not before.json["ok"]
        assert [check for check in before.json["checks"] if not check["ok"]]
        solve(made, exercise.number)
        after = made("exercise", tier, "--n", str(exercise.number), "--json", check=False)
        assert after.status == 0, f"exercise {exercise.number}: {after.out}"
        assert after.json["passed"]
        assert (after.json["tries"], after.json["solution"]) == (2, True)
    assert all(each["passed"] for each in made("exercise", "--json").json)


def solve(made: Pantheon, number: int) -> None:
    """Run the solution as it is shown, in the clone's folder."""
    for command in made("exercise", "--n", str(number), "--solution", "--json").json["solution"]:
        environment = {key: value for key, value in made.environment.items() if key != "PANTHEON_NAME"}
        done = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Pantheon:
    """A deployment that is down."""
    made = make_pantheon(tmp_path_factory.mktemp("stopped"))
    made("up", FIRST, "--no-run")
    made("down")
    return made


@pytest.mark.slow
def test_a_deployment_that_is_down_has_not_passed_and_hears_why(stopped: Pantheon) -> None:
    answer = stopped("exercise", "--n", "3", check=False)
    assert answer.status == 1
    assert "the command failed: " in answer.out
    assert "Not passed yet." in answer.err


@pytest.mark.slow
def test_hints_are_shown_one_at_a_time(stopped: Pantheon) -> None:
    hints = data.of(find(FIRST))[0].hints
    first = stopped("exercise", "--n", "1", "--hint", "1", "--json").json
    assert first["hint"] == hints[0]
    assert "HINT=2" in stopped("exercise", "--n", "1", "--hint", "1").err
    assert "SOLUTION=1" in stopped("exercise", "--n", "1", "--hint", str(len(hints))).err
    answer = stopped("exercise", "--n", "1", "--hint", str(len(hints) + 1), check=False)
    assert answer.status == 2
    assert answer.message.startswith(f"exercise 1 has no hint {len(hints) + 1}: there are {len(hints)} hints.")
    listed = stopped.command(["make", "-s", f"tier-{FIRST}", "exercise", "JSON=1"]).out
    assert '"hints": 2' in listed


@pytest.mark.slow
def test_a_number_that_does_not_exist_and_help_without_one_are_refused(stopped: Pantheon) -> None:
    answer = stopped("exercise", "--n", "99", check=False)
    assert (answer.status, "has no exercise 99." in answer.message) == (2, True)
    answer = stopped("exercise", "--hint", "1", check=False)
    assert (answer.status, answer.message.startswith("N= is missing.")) == (2, True)
    assert (Path(ROOT) / "docs" / "exercises.md").is_file(), "which messages name"
