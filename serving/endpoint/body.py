"""Read a request's body up to a limit and parse JSON strictly; invalid bodies raise ``Problem``."""

import json
from typing import Any, NoReturn

import msgspec
import numpy as np

from pantheon.web.messages import BodyError
from pantheon.web.server import Request
from serving.problems import Problem

LIMIT = 10 * 1024 * 1024  # bytes
MOST_VALUES = 250_000  # of one body, however many inputs the model has: each takes up to 300 bytes when decoded
PIECE_BYTES = 1024 * 1024  # that are counted at a time
FREE_BYTES = 16 * 1024  # of a body that is too small to have too many values


async def read(request: Request, limit: int = LIMIT) -> bytes:
    """Read the request's complete body.

    Raises:
        Problem: 413 if it is larger than ``limit`` (rejected before reading if its length is given), 408 if it is too
            slow, 400 if it is incomplete or malformed, 503 while too many large bodies are being read.
    """
    try:
        return await request.body(limit)
    except BodyError as error:
        raise Problem(error.status, error.message, expected=error.expected, got=error.got) from None


def need_json(request: Request) -> None:
    """Raise Problem 415 if the content type is not JSON in UTF-8."""
    given = request.header("content-type")
    if given == "application/json":
        return
    kind, *parameters = (part.strip().lower() for part in given.split(";"))
    charsets = [p.split("=", 1)[1].strip('" ') for p in parameters if p.startswith("charset=")]
    if kind != "application/json" or any(c not in ("utf-8", "utf8", "us-ascii") for c in charsets):
        got = given[:80] or "nothing"
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


_fast = msgspec.json.Decoder().decode


def parse(data: bytes, rows: int, inputs: int, name: str = "payload") -> Any:
    """Parse ``data`` as JSON.

    Args:
        rows, inputs: how many rows with how many inputs are allowed; more values are rejected before decoding.
        name: the field with the rows.

    Raises:
        Problem: 400; not UTF-8, not JSON, a duplicate key in an object, NaN or Infinity, nested too deeply. 413; too
            many values.
    """
    if not data:
        raise Problem(400, "The request has no body.", expected=f'{{"{name}": [{{…}}]}}', got="nothing")
    if len(data) > FREE_BYTES:
        limit_values(data, rows, inputs)
    try:
        value = _fast(data)
    except (ValueError, RecursionError):  # the other decoder reports the position of the error
        return _slow(data)
    return value if _has_unique_keys(value, data, inputs, name) else _slow(data)


def most_rows(inputs: int, most: int) -> int:
    """Return how many rows of a model with so many inputs one body may have: ``most``, or fewer for many inputs."""
    return max(1, min(most, MOST_VALUES // (inputs + 1)))


def limit_values(data: bytes, rows: int, inputs: int) -> None:
    """Raise Problem 413 if decoding would create too many values: each but the first in an object or array follows a
    comma."""
    most = rows * (inputs + 1) + 2
    if sum(map(data.count, (b",", b"[", b"{"))) > most and _outside_texts(data) > most:
        expected = f"at most {rows:,} rows of {inputs} inputs"
        raise Problem(413, f"The body has too many values: {expected}.", expected=expected, got="more values")


def _outside_texts(data: bytes) -> int:
    """Return the number of commas and opening brackets that are not in texts."""
    plain = np.frombuffer(data.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    found, inside = 0, np.uint8(0)  # inside: odd within a text
    for start in range(0, len(plain), PIECE_BYTES):
        piece = plain[start : start + PIECE_BYTES]
        texts = np.cumsum(piece == ord('"'), dtype=np.uint8) + inside
        inside = texts[-1]
        structure = (piece == ord(",")) | (piece == ord("[")) | (piece == ord("{"))
        found += int(np.count_nonzero(structure & (texts % 2 == 0)))
    return found


def _has_unique_keys(value: Any, data: bytes, inputs: int, name: str) -> bool:
    """Return whether the JSON certainly has no duplicate keys, or is invalid anyway because a row has too many: msgspec
    keeps the last of two equal keys.

    A JSON text has one colon per key, and possibly more in strings. If it has as many colons as ``value`` has keys, no
    key was lost.
    """
    if type(value) is not dict or type(rows := value.get(name)) is not list:
        return False
    kept = len(value)
    for row in rows:
        if type(row) is not dict:
            return False
        kept += len(row)
        if len(row) > inputs + 1:  # one more may be what is sent along, an object
            return True
        if type(row.get("context")) is dict:
            kept += len(row["context"])
    return data.count(b":") == kept


def _slow(data: bytes) -> Any:
    """Parse with the standard library's decoder, which reports positions; duplicate keys are rejected."""
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
    except ValueError:  # Python does not parse integers of more than 4,300 digits
        raise Problem(400, "The JSON has a number with too many digits.", expected="JSON") from None
