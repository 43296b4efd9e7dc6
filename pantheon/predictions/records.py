"""What the log records: answers, and what users said about them."""

from typing import Any

import msgspec


class Answered(msgspec.Struct, frozen=True, gc=False):
    """An answer, or a refusal, of one request; its rows and its answer are kept beside it, as JSON.

    Attributes:
        id: of the request, a UUID of version 7.
        at: microseconds since the epoch, UTC.
        model, version: who answered.
        arm, reason: what the routing policy calls the version, and why it was chosen.
        key: the name of the API key; empty: none.
        ms: milliseconds from the arrival of the body to the answer.
        status: the HTTP status.
        error: of a refusal, its message.
        trace: the header ``traceparent``; empty: none.
        shadow: whether nobody saw this answer.
        explained: whether the answer had an explanation.
    """

    id: str
    at: int
    model: str
    version: str
    arm: str
    reason: str
    key: str
    ms: float
    status: int
    error: str = ""
    trace: str = ""
    shadow: bool = False
    explained: bool = False


class Feedback(msgspec.Struct, frozen=True):
    """What somebody said about one row of an answer.

    Attributes:
        id, row: of the answer.
        at: microseconds since the epoch, UTC; of two pieces about one row, the later one counts.
        correct: whether the prediction was right; None: not said.
        value: the true value, a JSON value; None: not said.
        by: who said it: the name of an API key, ``page`` or ``file``.
        source: through what it came.
    """

    id: str
    row: int
    at: int
    correct: bool | None
    value: Any
    comment: str
    by: str
    source: str
