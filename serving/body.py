"""Reading a request's body within a limit, and JSON strictly: whatever comes, a ``Problem`` or a value."""

import json
from typing import Any, NoReturn

from serving.problems import Problem

LIMIT = 10 * 1024 * 1024  # bytes


def read(environ: dict[str, Any], limit: int = LIMIT) -> bytes:
    """The request's whole body.

    Raises:
        Problem: 413 larger than ``limit`` (known from its length before a byte is read), 408 too slow, 400 cut short.
    """
    source = environ["wsgi.input"]
    chunked = bool(environ.get("wsgi.input_terminated"))
    length = environ.get("CONTENT_LENGTH") or "0"
    if not chunked and (not (length.isascii() and length.isdigit()) or len(length) > 18):
        raise Problem(400, "Content-Length is not a number.", got=length[:40])
    if not chunked and int(length) > limit:
        raise _too_large(limit, f"{int(length):,} bytes")
    try:
        data: bytes = source.read(limit + 1 if chunked else int(length))
    except TimeoutError:
        raise Problem(408, "The request's body did not arrive in time.") from None
    except ValueError:
        raise Problem(400, "The chunks of the request's body are malformed.") from None
    if len(data) > limit:
        raise _too_large(limit, "more")
    if not chunked and len(data) < int(length):
        raise Problem(400, "The request's body ended early.", expected=f"{length} bytes", got=f"{len(data)} bytes")
    return data


def _too_large(limit: int, got: str) -> Problem:
    size = f"{limit // 1024 // 1024} MB" if limit >= 1024 * 1024 else f"{limit:,} bytes"
    return Problem(413, f"The request's body is too large: at most {size}.", expected=f"at most {size}", got=got)


def need_json(environ: dict[str, Any]) -> None:
    """Raises Problem 415 where the content type is not JSON in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in environ.get("CONTENT_TYPE", "").split(";"))
    charsets = [p.split("=", 1)[1].strip('" ') for p in parameters if p.startswith("charset=")]
    if kind != "application/json" or any(c not in ("utf-8", "utf8", "us-ascii") for c in charsets):
        got = environ.get("CONTENT_TYPE", "")[:80] or "nothing"
        raise Problem(415, "Send Content-Type: application/json.", expected="application/json", got=got)


class _Refuse(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refuse(f'The field "{name[:80]}" appears twice in one object.')
    return value


def _constant(name: str) -> NoReturn:
    raise _Refuse(f"{name} is not JSON.")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


def parse(data: bytes) -> Any:
    """The JSON value of ``data``.

    Raises:
        Problem: 400; not UTF-8, not JSON, a key twice in one object, NaN or Infinity, nested too deeply.
    """
    if not data:
        raise Problem(400, "The request has no body.", expected='{"payload": [{…}]}', got="nothing")
    try:
        return _decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8 at byte {error.start}.", expected="JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        message = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise Problem(400, message, expected="JSON") from None
    except _Refuse as error:
        raise Problem(400, str(error), expected="JSON") from None
    except RecursionError:
        raise Problem(400, "The JSON is nested too deeply.", expected="an object with a list of flat objects") from None
    except ValueError:  # Python refuses to read integers of more than 4,300 digits
        raise Problem(400, "The JSON has a number of too many digits.", expected="JSON") from None
