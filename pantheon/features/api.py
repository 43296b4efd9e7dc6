"""Requests and answers of the service's API, whatever serves them.

A handler is a function ``(Service, Request) -> answer``, in ``pantheon.features.routes``. It runs in a thread, at the
same time as others. It returns what becomes JSON, or an ``Answer``; it raises ``Problem``, or a PantheonError if
something that the service needs does not work.
"""

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pantheon.errors import PantheonError

T = TypeVar("T")
JSON_BYTES = 32 * 1024 * 1024  # of a body that is read as JSON


class Problem(PantheonError):
    """A request that is not answered; ``code`` is the HTTP status: 400, 404, 409, 413 or 503."""

    def __init__(self, code: int, cause: str, cure: str = "") -> None:
        super().__init__(cause, cure, 1 if code >= 500 else 2)
        self.code = code


@dataclass
class Request:
    """One request.

    Attributes:
        method, path: as sent; the path percent-decoded.
        parameters: of the path: ``{"view": "robots"}`` for ``/views/{view}/parts``.
        query: as sent, without the question mark.
        file: the body, which is removed after the answer.
    """

    method: str
    path: str
    parameters: dict[str, str]
    query: str
    file: Path

    def __getitem__(self, parameter: str) -> str:
        """Return a parameter of the path."""
        return self.parameters[parameter]

    def option(self, name: str, default: str = "") -> str:
        """Return the (last) value of an option of the query."""
        given = urllib.parse.parse_qs(self.query, keep_blank_values=True).get(name)
        return given[-1] if given else default

    def json(self, kind: type[T]) -> T:
        """Return the body.

        Args:
            kind: its type, such as a struct of ``pantheon.features.contract``.

        Raises:
            Problem: 400: it is not JSON of that type; says where. 413: it is too large.
        """
        if (size := self.file.stat().st_size) > JSON_BYTES:
            most = f"at most {JSON_BYTES // 1024 // 1024} MB"
            raise Problem(413, f"The body has {size / 1024 / 1024:.0f} MB; this request takes {most}.", "Send less.")
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"The body is not valid: {str(error)[:300]}.", "") from None


@dataclass
class Answer:
    """An answer that is not JSON.

    Attributes:
        file: its content; removed after it was sent.
        lines: its content, sent as it comes; closed if the client goes away.
    """

    body: bytes = b""
    file: Path | None = None
    lines: Iterator[bytes] | None = None
    content_type: str = "application/vnd.apache.parquet"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def refusal(error: PantheonError) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of the answer for ``error``."""
    code = error.code if isinstance(error, Problem) else 503
    return code, {"error": {"message": error.cause, "cure": error.cure}}
