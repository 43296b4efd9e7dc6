"""Errors in requests: a status of 4xx with the row, the field, the expected and the received value."""

import json
from typing import Any

from pantheon.web.messages import Response

MAX_CHARACTERS = 80  # of a value in an error


class Problem(Exception):
    """A rejected request, and the error for the client.

    Args:
        status: the HTTP status, 4xx (or 503 while no model is deployed).
        message: a complete sentence.
        row: index of the row in the payload, from 0.
        field: the input's name.
        expected: description of the values that the signature allows.
        got: the received value, shortened.
        headers: further response headers, such as ``allow``.
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

    def response(self) -> Response:
        headers = [("content-type", "application/json"), ("cache-control", "no-store"), *self.headers]
        # json instead of msgspec: values from the client may contain lone surrogates
        return Response(self.status, json.dumps(self.as_json()).encode(), headers)


class Refused(Exception):
    """A value that an input does not accept; the message describes the accepted values."""


def shown(value: object) -> str:
    """Return ``value`` as JSON, shortened for an error."""
    if isinstance(value, str):
        value = value[: MAX_CHARACTERS + 1]  # before encoding: the string may be megabytes long
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**MAX_CHARACTERS:
        return "an integer of more than 80 digits"  # str() of an int takes quadratic time
    elif isinstance(value, (dict, list)):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()  # half a character is shown as ?
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
