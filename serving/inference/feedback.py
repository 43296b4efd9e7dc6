"""``POST /feedback``: what users say about a prediction, by the id of its request."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec

from serving.problems import Problem, shown

LIMIT = 16 * 1024  # bytes of a request
COMMENT = 2000  # characters
MOST_ROW = 10_000
FUTURE = 60_000_000  # microseconds by which clocks may differ
EXPECTED = '{"id": "…", "row": 0, "correct": true or false, "value": …, "comment": "…"}'


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """One piece of feedback as it is sent.

    Attributes:
        id: of the request, as ``x-request-id`` named it.
        row: which row of the request.
        correct: whether the prediction was right; None: not said.
        value: the true value; unset or None: not said.
        comment: at most ``COMMENT`` characters.
        at: when it was said, ISO 8601, UTC if it names no zone; empty: now.
    """

    id: str
    row: int = 0
    correct: bool | None = None
    value: Any = None
    comment: str = ""
    at: str = ""

    @property
    def moment(self) -> int:
        """When it was said, microseconds since the epoch; raises ValueError if ``at`` is not a time."""
        if not self.at:
            return time.time_ns() // 1000
        found = datetime.fromisoformat(self.at)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e6)


_decode = msgspec.json.Decoder(Said).decode


def read(data: bytes) -> Said:
    """Return the feedback in a body.

    Raises:
        Problem: 400, it is not JSON; 422, a field is missing or not valid, or it says nothing.
    """
    try:
        said = _decode(data)
    except msgspec.ValidationError as error:
        raise Problem(422, f"This is not feedback: {error}.", expected=EXPECTED) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.", expected=EXPECTED) from None
    try:
        if uuid.UUID(said.id).version != 7:
            raise ValueError
    except ValueError:
        expected = "the x-request-id of an answer"
        raise Problem(422, f'"id" must be {expected}.', field="id", expected=expected, got=shown(said.id)) from None
    said.id = str(uuid.UUID(said.id))
    if not 0 <= said.row < MOST_ROW:
        expected = f"a row of the request: 0 to {MOST_ROW - 1:,}"
        raise Problem(422, f'"row" must be {expected}.', field="row", expected=expected, got=shown(said.row))
    if len(said.comment) > COMMENT:
        expected = f"at most {COMMENT:,} characters"
        raise Problem(422, f'"comment" must have {expected}.', field="comment", expected=expected)
    try:
        if said.moment > time.time_ns() // 1000 + FUTURE:
            raise ValueError
    except (ValueError, OverflowError):
        expected = "a time until now, such as 2026-03-01T12:30:00Z"
        raise Problem(422, f'"at" must be {expected}.', field="at", expected=expected, got=shown(said.at)) from None
    if isinstance(said.value, (list, dict)):
        raise Problem(422, '"value" must be one value.', field="value", expected="a value", got=shown(said.value))
    if said.correct is None and said.value is None and not said.comment.strip():
        raise Problem(422, "The feedback says nothing.", expected='"correct", "value" or "comment"')
    return said
