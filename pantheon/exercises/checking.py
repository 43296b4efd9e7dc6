"""Check an exercise: run the commands that its checks name, and compare what they print with what is expected."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pantheon.errors import PantheonError
from pantheon.exercises.data import Check, Exercise

WORDS = {
    "is": "",
    "not": "anything but ",
    "at_least": "at least ",
    "at_most": "at most ",
    "has": "something with ",
    "lacks": "nothing with ",
}
SHOWN = 200  # characters of a value

Read = Callable[[list[str]], Any]
"""Runs a command and returns the JSON that it prints; raises PantheonError if it fails."""


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        seen, expected: for people.
        command: the command that was asked.
    """

    says: str
    ok: bool
    seen: str
    expected: str
    command: str


def check(exercise: Exercise, read: Read, progress: Callable[[str], None] = lambda command: None) -> list[Result]:
    """Return the result of every check; each command runs once.

    Args:
        progress: called with each command before it runs.
    """
    answers: dict[str, Any] = {}
    results = []
    for each in exercise.checks:
        if each.read not in answers:
            progress(each.read)
            answers[each.read] = _ask(each.read, read)
        results.append(_result(each, answers[each.read]))
    return results


def _ask(command: str, read: Read) -> Any:
    try:
        return read(shlex.split(command))
    except PantheonError as error:
        return error


def _result(check: Check, answer: Any) -> Result:
    how, wanted = check.expected
    expected = WORDS[how] + shown(wanted)
    if isinstance(answer, PantheonError):
        return Result(check.says, False, f"the command failed: {answer.cause}", expected, check.read)
    found = look_up(check.value, answer)
    return Result(check.says, holds(how, wanted, found), shown(found), expected, check.read)


def look_up(expression: str, answer: Any) -> Any:
    """Return what a JMESPath expression finds in JSON; None for nothing."""
    import jmespath

    try:
        return jmespath.search(expression, answer)
    except jmespath.exceptions.JMESPathError:  # a function does not take what is there, such as length(null)
        return None


def holds(how: str, wanted: Any, found: Any) -> bool:
    """Return whether a value is as expected; nothing (None) never is."""
    if found is None:
        return False
    if how in ("is", "not"):
        return bool((found == wanted) is (how == "is"))
    if how in ("has", "lacks"):
        return isinstance(found, list | str | Mapping) and (wanted in found) is (how == "has")
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    return bool(found >= wanted if how == "at_least" else found <= wanted)


def shown(value: Any) -> str:
    """Return a value for people, not longer than ``SHOWN`` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
