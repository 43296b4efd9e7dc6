"""Bodies of a request within the limit of bytes that ask for as much memory as they can."""

from collections.abc import Callable

BYTES = 9_900_000


def row(values: int, value: bytes, inputs: int) -> bytes:
    """An object with inputs that the model has (x0, x1, …) as long as there are some, then others."""
    return b"{" + b",".join(b'"x%d":%s' % (i, value) for i in range(min(values, inputs))) + b"}"


def others(count: int, value: bytes = b"0.5") -> bytes:
    return b"{" + b",".join(b'"k%d":%s' % (i, value) for i in range(count)) + b"}"


def payload(rows: bytes) -> bytes:
    return b'{"payload":[' + rows + b"]}"


def hostile(inputs: int, values: int) -> dict[str, Callable[[], bytes]]:
    """Bodies by what is in them.

    Args:
        inputs: of the model.
        values: that a body may have.
    """
    rows = values // (inputs + 1)
    text = b'{"x0":"'
    return {
        "780,000 keys": lambda: payload(others(780_000, b"1")),
        "as many keys as allowed": lambda: payload(others(values - 10)),
        "as many keys as allowed, cut off": lambda: payload(others(values - 10))[:-1],
        "one key as often as allowed": lambda: payload(b"{" + b",".join([b'"x1":0.5'] * (values - 10)) + b"}"),
        "as many rows as allowed": lambda: payload(b",".join([row(inputs, b"0.5", inputs)] * rows)),
        "as many texts as allowed": lambda: payload(b",".join([row(inputs, b'"1:0"', inputs)] * rows)),
        "empty objects": lambda: payload(b",".join([b"{}"] * 3_000_000)),
        "lists": lambda: payload(b",".join([b"[[1]]"] * 1_600_000)),
        "deep lists": lambda: b"[" * BYTES,
        "deep objects": lambda: b'{"a":' * (BYTES // 5),
        "a long text": lambda: payload(text + b"a" * (BYTES - 50) + "\U0001f600".encode() + b'"}'),
        "a text of escapes": lambda: payload(text + b'\\"' * (BYTES // 2 - 50) + b'"}'),
        "a long key": lambda: payload(b'{"' + b"a" * (BYTES - 50) + b'":1}'),
        "a long number": lambda: payload(b'{"x0":' + b"9" * (BYTES - 50) + b"}"),
        "long numbers": lambda: payload(b",".join([b'{"x0":' + b"9" * 4000 + b"}"] * 2400)),
        "spaces": lambda: b" " * (BYTES - 2) + b"{}",
    }
