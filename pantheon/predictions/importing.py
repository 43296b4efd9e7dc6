"""Feedback of other systems: rows of a table with the columns of ``records.Feedback`` that a person fills in."""

import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pantheon.predictions.records import Feedback

COLUMNS: Final = ("id", "row", "correct", "value", "comment", "at")
COMMENT = 2000  # characters, as the endpoint takes
FUTURE = 60_000_000  # microseconds by which clocks may differ
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": None}


def read_feedback(lines: Iterable[Mapping[str, Any]], by: str) -> tuple[list[Feedback], list[tuple[int, str]]]:
    """Read the rows of a table.

    Args:
        lines: with the columns ``COLUMNS``, of which only ``id`` is needed, and one of ``correct``, ``value`` and
            ``comment``. Values may be texts. ``row`` is 0 if it is missing; ``at`` (ISO 8601, UTC if it names no zone)
            is now.
        by: who says it.

    Returns:
        The feedback, and for each row that is refused its number, from 1, with a sentence.
    """
    found: list[Feedback] = []
    refused: list[tuple[int, str]] = []
    now = time.time_ns() // 1000
    for number, line in enumerate(lines, 1):
        try:
            found.append(_feedback(line, by, now))
        except ValueError as error:
            refused.append((number, str(error)))
    return found, refused


def _feedback(line: Mapping[str, Any], by: str, now: int) -> Feedback:
    if unknown := sorted(line.keys() - set(COLUMNS)):
        raise ValueError(f"{unknown[0]!r} is not one of the columns {', '.join(COLUMNS)}.")
    value = line.get("value")
    comment = str(line.get("comment") or "")
    record = Feedback(
        id=_id(line.get("id")),
        row=_row(line.get("row")),
        at=_at(line.get("at"), now),
        correct=_correct(line.get("correct")),
        value=None if value == "" else value,
        comment=comment,
        by=by,
        source="file",
    )
    if len(comment) > COMMENT:
        raise ValueError(f"its comment is longer than {COMMENT:,} characters.")
    if isinstance(value, (list, dict)):
        raise ValueError("its value must be one value.")
    if record.correct is None and record.value is None and not comment.strip():
        raise ValueError("it says nothing: correct, value or comment must be there.")
    return record


def _id(given: Any) -> str:
    if given in (None, ""):
        raise ValueError("it has no id.")
    try:
        found = uuid.UUID(str(given))
    except ValueError:
        found = uuid.UUID(int=0)
    if found.version != 7:
        raise ValueError(f"{given!r:.80} is not the id of a request, the header x-request-id of its answer.")
    return str(found)


def _row(given: Any) -> int:
    try:
        row = int(given) if given not in (None, "") else 0
    except (ValueError, TypeError):
        row = -1
    if not 0 <= row < 10_000:
        raise ValueError(f"{given!r:.80} is not the number of a row, from 0.")
    return row


def _correct(given: Any) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    try:
        return _TRUTH[str(given).strip().lower()]
    except KeyError:
        raise ValueError(f"{given!r:.80} is neither true nor false.") from None


def _at(given: Any, now: int) -> int:
    if given in (None, ""):
        return now
    try:
        found = datetime.fromisoformat(str(given))
    except ValueError:
        raise ValueError(f"{given!r:.80} is not a time such as 2026-03-01T12:30.") from None
    at = round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e6)
    if at > now + FUTURE:
        raise ValueError(f"{given!r:.80} is in the future.")
    return at
