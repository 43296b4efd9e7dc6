"""Read the exercises of a tier: ``tiers/N-NAME/exercises/N-NAME.toml``; docs/exercises.md explains the keys."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.tiers import Tier

FOLDER = "exercises"
COMPARISONS = ("is", "not", "at_least", "at_most", "has", "lacks")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of the files' tables; unknown keys are refused."""


class Check(Strict, frozen=True, kw_only=True):
    """What must be true of the JSON that a command prints.

    Attributes:
        says: what must be true, as a sentence.
        read: the command without ``bin/pantheon``, ``--name`` and ``--json``, such as ``models list``.
        value: a JMESPath expression; what it finds is compared.
        is_, not_, at_least, at_most, has, lacks: exactly one of them: what is expected of the value. ``has`` and
            ``lacks``: an element of a list, a key of an object, or a part of a text.
    """

    says: str
    read: str
    value: str
    is_: Any = msgspec.field(default=None, name="is")
    not_: Any = msgspec.field(default=None, name="not")
    at_least: float | None = None
    at_most: float | None = None
    has: Any = None
    lacks: Any = None

    def __post_init__(self) -> None:
        if len([each for each in self.comparisons() if each[1] is not None]) != 1:
            raise ValueError(f"a check needs exactly one of {', '.join(COMPARISONS)}")

    def comparisons(self) -> list[tuple[str, Any]]:
        """Return every comparison with its value; None: it is not given."""
        given = (self.is_, self.not_, self.at_least, self.at_most, self.has, self.lacks)
        return list(zip(COMPARISONS, given, strict=True))

    @property
    def expected(self) -> tuple[str, Any]:
        """Return the comparison that is given, and its value."""
        return next(each for each in self.comparisons() if each[1] is not None)


class _File(Strict, frozen=True, kw_only=True):
    title: str
    minutes: int
    task: str
    hints: tuple[str, ...]
    solution: tuple[str, ...]
    checks: tuple[Check, ...]


class Exercise(msgspec.Struct, frozen=True, kw_only=True):
    """An exercise.

    Attributes:
        number: from 1 on, within its tier.
        title: a few words.
        minutes: about how long people need.
        task: what to do, and what to see in it, as Markdown.
        hints: Markdown, each tells more than the one before.
        solution: commands for ``sh`` in the clone's folder. Here and in the texts, ``{state}`` is the deployment's
            folder and ``{address:SERVICE}`` the address of a service; see ``pantheon.exercises.texts``.
        checks: what must be true then.
    """

    tier: str
    number: int
    title: str
    minutes: int
    task: str
    hints: tuple[str, ...]
    solution: tuple[str, ...]
    checks: tuple[Check, ...]


def of(tier: Tier) -> list[Exercise]:
    """Return the exercises of a tier, ordered by number.

    Raises:
        PantheonError: a file is not valid.
    """
    found = [_read(path, tier.name) for path in (tier.folder / FOLDER).glob("*.toml")]
    return sorted(found, key=lambda exercise: exercise.number)


def find(tier: Tier, number: int) -> Exercise:
    """Return an exercise of a tier.

    Raises:
        PantheonError: the tier has no such exercise; names those that it has.
    """
    known = of(tier)
    for exercise in known:
        if exercise.number == number:
            return exercise
    numbers = ", ".join(str(exercise.number) for exercise in known)
    has = f"It has: {numbers}. List them: `exercise`" if known else "Other tiers have some: see docs/exercises.md."
    raise PantheonError(f"{tier.title} has no exercise {number}.", has)


def _read(path: Path, tier: str) -> Exercise:
    number = re.match(r"([1-9]\d*)-[a-z0-9-]+\.toml", path.name)
    if not number:
        raise PantheonError(f"{path} does not begin with its number.", "Name it as 1-second-version.toml.")
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise PantheonError(f"{path} is not valid: {error}.", "docs/exercises.md explains its keys.") from None
    return Exercise(tier=tier, number=int(number[1]), **{key: getattr(file, key) for key in file.__struct_fields__})
