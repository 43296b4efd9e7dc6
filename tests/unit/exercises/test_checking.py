"""What a check says about the JSON of a command, and what is recorded."""

from pathlib import Path
from typing import Any

import pytest

from pantheon.errors import PantheonError
from pantheon.exercises import record
from pantheon.exercises.checking import Result, check
from pantheon.exercises.data import Check, Exercise
from pantheon.typed import Damaged

ANSWER = {"tier": "zeus", "count": 2, "names": ["a", "b"], "nothing": None, "yes": True, "half": 0.5}


def exercise(*checks: Check) -> Exercise:
    return Exercise(
        tier="zeus", number=2, title="A title", minutes=1, task="", hints=(), solution=("true",), checks=checks
    )


def result(value: str, answer: Any = ANSWER, **expected: Any) -> Result:
    asked = Check(says="It is so.", read="status", value=value, **expected)
    return check(exercise(asked), lambda words: answer)[0]


@pytest.mark.parametrize(
    ("value", "expected", "ok"),
    [
        ("tier", {"is_": "zeus"}, True),
        ("tier", {"is_": "nemesis"}, False),
        ("tier", {"not_": "nemesis"}, True),
        ("tier", {"not_": "zeus"}, False),
        ("count", {"at_least": 2}, True),
        ("count", {"at_least": 3}, False),
        ("count", {"at_most": 2}, True),
        ("half", {"at_most": 0.4}, False),
        ("names", {"has": "b"}, True),
        ("names", {"has": "c"}, False),
        ("names", {"lacks": "c"}, True),
        ("names", {"lacks": "b"}, False),
        ("tier", {"has": "eu"}, True),
        ("@", {"has": "tier"}, True),
        ("length(names)", {"is_": 2}, True),
        ("names[?@=='c']", {"is_": []}, True),
    ],
)
def test_a_value_is_compared(value: str, expected: dict[str, Any], ok: bool) -> None:
    assert result(value, **expected).ok is ok


@pytest.mark.parametrize("value", ["nothing", "absent", "length(nothing)", "absent.more[0]"])
@pytest.mark.parametrize(
    "expected", [{"is_": "a"}, {"not_": "a"}, {"at_least": 0}, {"at_most": 9}, {"has": "a"}, {"lacks": "a"}]
)
def test_nothing_is_never_as_expected(value: str, expected: dict[str, Any]) -> None:
    found = result(value, **expected)
    assert (found.ok, found.seen) == (False, "nothing")


@pytest.mark.parametrize("value", ["tier", "yes", "names"])
def test_only_numbers_are_larger_or_smaller(value: str) -> None:
    assert not result(value, at_least=0).ok
    assert not result(value, at_most=100).ok


def test_a_result_says_what_was_seen_and_what_was_expected() -> None:
    assert result("count", at_least=3) == Result("It is so.", False, "2", "at least 3", "status")
    assert result("names", has="c").expected == "something with c"
    assert result("names", has="c").seen == '["a", "b"]'
    assert result("''", is_="zeus").seen == '""', "an empty text is seen"
    assert len(result("names", {"names": ["x" * 1000]}, has="c").seen) < 250


def test_a_command_runs_once_and_its_failure_is_what_was_seen() -> None:
    asked: list[list[str]] = []

    def read(words: list[str]) -> Any:
        asked.append(words)
        if words == ["status"]:
            return ANSWER
        raise PantheonError("the page does not answer.", "Start it: `up`")

    checks = [Check(says="a.", read=read_, value="tier", is_="zeus") for read_ in ("status", "models list", "status")]
    found = check(exercise(*checks), read)
    assert asked == [["status"], ["models", "list"]]
    assert [each.ok for each in found] == [True, False, True]
    assert found[1].seen == "the command failed: the page does not answer."


def test_what_was_passed_once_stays_passed(tmp_path: Path) -> None:
    this = exercise()
    assert record.read(tmp_path).of(this) == record.Work()
    record.checked(tmp_path, this, False)
    record.helped(tmp_path, this, hints=2)
    record.helped(tmp_path, this, hints=1)
    passed = record.checked(tmp_path, this, True)
    assert (passed.tries, passed.hints, passed.solution) == (2, 2, False)
    assert passed.passed
    record.checked(tmp_path, this, False)
    record.helped(tmp_path, this, solution=True)
    assert record.read(tmp_path).of(this) == passed, "help after that does not count"
    assert (tmp_path / record.FILE).stat().st_mode & 0o777 == 0o600


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / record.FILE).write_text("{")
    with pytest.raises(Damaged, match=str(tmp_path / record.FILE)):
        record.read(tmp_path)
