"""``POST /feedback``: what users say about a prediction, by the id of its request."""

import uuid
from typing import Any

import msgspec

from serving.problems import Problem, shown

LIMIT = 16 * 1024  # bytes of a request
COMMENT = 2000  # characters
MOST_ROW = 10_000
EXPECTED = '{"id": "…", "row": 0, "correct": true or false, "value": …, "comment": "…"}'


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """One piece of feedback as it is sent.

    Attributes:
        id: of the request, as ``x-request-id`` named it.
        row: which row of the request.
        correct: whether the prediction was right; None: not said.
        value: the true value; unset or None: not said.
        comment: at most ``COMMENT`` characters.
    """

    id: str
    row: int = 0
    correct: bool | None = None
    value: Any = None
    comment: str = ""


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
    if isinstance(said.value, (list, dict)):
        raise Problem(422, '"value" must be one value.', field="value", expected="a value", got=shown(said.value))
    if said.correct is None and said.value is None and not said.comment.strip():
        raise Problem(422, "The feedback says nothing.", expected='"correct", "value" or "comment"')
    return said
