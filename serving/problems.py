"""What is wrong with a request: always a 4xx, always with the row, the field, what was expected and what came."""

import json
from typing import Any

SHOWN = 80  # characters of a value that an error repeats at most


class Problem(Exception):
    """A request that cannot be answered, as the client is told.

    Args:
        status: the HTTP status, 4xx (or 503 while no model is deployed).
        message: a full sentence.
        row: index of the row in the payload, from 0.
        field: the input's name.
        expected: what the signature asks for, in words.
        got: the value that came, shortened.
        headers: further response headers, such as ``Allow``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        row: int | None = None,
        field: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.row = row
        self.field = field
        self.expected = expected
        self.got = got
        self.headers = headers

    def as_json(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "row": self.row,
                "field": self.field,
                "expected": self.expected,
                "got": self.got,
            }
        }


class Refused(Exception):
    """A value that an input does not take; the message says what it takes."""


def shown(value: object) -> str:
    """``value`` as JSON, cut to a length fit for an error."""
    if isinstance(value, str):
        value = value[: SHOWN + 1]  # before encoding: the string may be megabytes long
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        return "an integer of more than 80 digits"  # str() of an int takes quadratic time
    elif isinstance(value, (dict, list)):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
