"""Routing policies, for commands: parse what users type, and ask where the store can be reached."""

from collections.abc import Sequence
from typing import Any

from pantheon.deployment import inside
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.processes import whoami

NONE = "none"  # what users type to remove a part of a policy
WITHOUT_PERSON = {"show", "test", "clear"}  # operations that record nobody


def ask(deployment: Deployment, engine: Engine, operation: str, model: str, /, **given: Any) -> dict[str, Any]:
    """Return the result of an operation of ``pantheon.routing.operations``: ``show``, ``weights``, ``pin`` …

    Args:
        model: empty: the deployment's own.

    Raises:
        PantheonError: as the operation does; or the store does not answer.
    """
    if operation not in WITHOUT_PERSON:
        given["by"] = whoami()
    chosen = model or deployment.settings.dataset
    found: dict[str, Any] = inside.ask(deployment, engine, f"route.{operation}", model=chosen, **given)
    return found


def percentages(texts: Sequence[str]) -> dict[str, float]:
    """Parse ``["challenger=10", "3=2.5%"]``.

    Raises:
        PantheonError: one is not a version and a number, or a version is named twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            percent = float(number.strip().removesuffix("%"))
        except ValueError:
            percent = -1.0
        if not (name and equals and 0 <= percent <= 100):
            raise PantheonError(f"{text!r} is not a version and its percentage.", "For example: challenger=10")
        if name in found:
            raise PantheonError(f"{name} has two percentages.", "Name it once.")
        found[name] = percent
    return found


def or_none(text: str) -> str:
    """Return ``text``; empty for ``none``."""
    return "" if text == NONE else text


def names(texts: Sequence[str]) -> list[str]:
    """Return the names; an empty list for ``none``."""
    return [] if list(texts) == [NONE] else list(texts)
