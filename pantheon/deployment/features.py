"""The feature store, for commands: parse what users type, and ask where its service can be reached."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pantheon.deployment import inside, questions
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.errors import PantheonError

FEAST = "feast"


def has_store(deployment: Deployment) -> bool:
    """Return whether the deployment has a feature store."""
    return deployment.settings.route.features == FEAST


def ask(deployment: Deployment, engine: Engine, operation: str, **given: Any) -> Any:
    """Return the result of an operation of ``pantheon.features.operations``: ``list``, ``show``, ``at`` …

    Raises:
        PantheonError: the deployment has no feature store; or as the operation does.
    """
    if not has_store(deployment):
        raise PantheonError("this deployment has no feature store.", "It comes with `make tier-hephaestus up`.")
    return inside.ask(deployment, engine, f"features.{operation}", **given)


def moment(text: str) -> str:
    """Return a time that a user typed, such as ``now``, as ISO 8601 in UTC; empty for an empty text.

    Raises:
        PantheonError: it is not a time.
    """
    if text.strip().lower() == "now":
        return datetime.now(UTC).isoformat()
    try:
        return questions.time(text).astimezone(UTC).isoformat() if text else ""
    except PantheonError:
        raise PantheonError(
            f"{text!r} is not a time.", "Use 2026-11-22T10:00 (local time), or with an offset, or '10 minutes ago'."
        ) from None


def forget(deployment: Deployment, engine: Engine, column: str, value: str) -> dict[str, Any]:
    """Delete rows from the feature store, if there is one, and from the prediction log.

    Returns:
        As ``keep.forget``, with ``features``, if there is a feature store; ``words`` says all that was done.

    Raises:
        PantheonError: the feature store does not answer: then nothing is deleted from the log; or the log does not.
    """
    found: dict[str, Any] = {}
    if has_store(deployment):
        found["features"] = ask(deployment, engine, "forget", column=column, value=value)
    try:
        log = inside.forget(deployment, engine, column, value)
    except PantheonError as error:
        if "features" not in found:
            raise
        raise PantheonError(f"{found['features']['words']} But {error.cause}", error.cure, error.status) from None
    said: Iterable[str] = [each["words"] for each in (found.get("features"), log) if each]
    return {**log, **found, "words": " ".join(said)}
