"""Where a request ends must be clear: requests that a proxy and this server could read differently are rejected.

hyper rejects the following itself, with an empty body and a closed connection: 400 for a malformed request line or
header name, NUL, CR or another control character in a value, a folded header, a space before the colon, two different
``Content-Length``, one that is not a number, a ``Transfer-Encoding`` that does not end with ``chunked``, or any in
HTTP/1.0; 431 for a head that is too large or has more than 100 headers, and 414 for a path that is too long.

hyper accepts and changes the following before the application sees it. Each has one meaning, which RFC 9112 allows:

- A second ``Content-Length`` with the same value is dropped.
- With both ``Content-Length`` and ``Transfer-Encoding: chunked``, the length is dropped, the chunks decide, and the
  connection is closed after the answer.
- A line may end with LF alone. It ends a header, so a value never contains it.

Granian hides values that are not ASCII. Before another ``Host`` or ``Transfer-Encoding`` such a value is noticed, and
rejected; after it, it is dropped: a second ``Host`` counts for nothing, and hyper itself requires that the last
``Transfer-Encoding`` is ``chunked``.

``ambiguous`` rejects the rest.
"""

from typing import Any

from pantheon.web.granian import Scope


def ambiguous(scope: Scope, headers: Any) -> tuple[int, str] | None:
    """Return the status and reason to reject an ambiguous request; None if it is valid.

    Args:
        headers: of ``scope``, which copies them at every access.
    """
    codings = _values(headers, "transfer-encoding") if "transfer-encoding" in headers else ["chunked"]
    if [coding.lower() for coding in codings] != ["chunked"]:
        return 501, "The only supported Transfer-Encoding is chunked."
    hosts = len(_values(headers, "host"))
    if hosts > 1:
        return 400, "The request has two Host headers."
    if not hosts and "host" not in headers and scope.http_version == "1.1":
        return 400, "The request has no Host header."
    if scope.authority is not None:
        return 400, "The request's address must be a path."
    return None


def _values(headers: Any, name: str) -> list[str]:
    """Return a header's values; a first one that is not ASCII is empty."""
    values: list[str] = headers.get_all(name)
    return ["", *values] if values and headers.get(name) is None else values
