"""Read what ``advise`` knows: ``advice/needs.toml`` and ``advice/alternatives.toml``, which explain their keys."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

FOLDER = ROOT / "advice"

_T = TypeVar("_T")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of the files' tables; unknown keys are refused."""


class Need(Strict, frozen=True, kw_only=True):
    """Something that people need; see the head of ``needs.toml``."""

    title: str
    why: str
    sign: str
    components: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    runner: str = ""
    variant: str = ""


class Topic(Strict, frozen=True, kw_only=True):
    """Needs that one question of the dialogue asks for; ``none`` is the answer that needs nothing."""

    ask: str
    none: str
    needs: dict[str, Need]


class Alternative(Strict, frozen=True, kw_only=True):
    """A product that could be used instead of components; see the head of ``alternatives.toml``."""

    instead_of: tuple[str, ...]
    licence: str
    runs_on: str
    why: str
    why_not: str
    fact: str
    as_of: str
    source: str


class _Topics(Strict, frozen=True, kw_only=True):
    topics: tuple[Topic, ...]


@cache
def topics() -> tuple[Topic, ...]:
    """Return the topics in the order in which the dialogue asks about them."""
    return _read(FOLDER / "needs.toml", _Topics).topics


@cache
def needs() -> dict[str, Need]:
    """Return all needs by name, ordered by topic."""
    return {name: need for topic in topics() for name, need in topic.needs.items()}


@cache
def alternatives() -> dict[str, Alternative]:
    """Return the alternatives by name."""
    return _read(FOLDER / "alternatives.toml", dict[str, Alternative])


def chosen(text: str) -> list[str]:
    """Parse ``NEEDS=``: names of needs with spaces or commas between them, or ``none``. They are ordered by topic.

    Raises:
        PantheonError: there is no such need; names similar ones, and all.
    """
    given = {name for name in re.split(r"[,\s]+", text.strip().lower()) if name and name != "none"}
    known = needs()
    for name in sorted(given - known.keys()):
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise PantheonError(f"there is no need {name!r}.", f"{hint}The needs: {', '.join(known)}; or none.")
    return [name for name in known if name in given]


def instead_of(components: Iterable[str]) -> dict[str, dict[str, Alternative]]:
    """Return the alternatives of each component that has any, by name."""
    found = {
        component: {name: each for name, each in alternatives().items() if component in each.instead_of}
        for component in components
    }
    return {component: each for component, each in found.items() if each}


def _read(path: Path, kind: type[_T]) -> _T:
    try:
        raw: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(raw, kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PantheonError(f"{path} is not valid: {error}.", "The head of the file explains its keys.") from None
