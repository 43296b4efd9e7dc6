"""A service's response, and the error for a request body that was not read."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

Headers = list[tuple[str, str]]
Quick = Callable[[bytes], "Response | Future[Response]"]  # the body → the answer


@dataclass(slots=True)
class Response:
    """A response. The server adds ``Content-Length``, ``Date`` and ``Server``."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)


class BodyError(Exception):
    """A request body that was not read; ``status`` is 400, 408, 413 or 503."""

    def __init__(self, status: int, message: str, expected: str | None = None, got: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.expected, self.got = status, message, expected, got


def too_large(limit: int, got: str) -> BodyError:
    size = f"{limit // 1024 // 1024} MB" if limit >= 1024 * 1024 else f"{limit:,} bytes"
    return BodyError(413, f"The request's body is too large: at most {size}.", f"at most {size}", got)
