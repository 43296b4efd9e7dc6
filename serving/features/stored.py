"""How Feast stores online features in Redis and Valkey: the names of keys and fields, and the bytes of values.

A hash per entity, whose key is the serialized entity key (version 3) and the project. For each feature it has a field
that is the MurmurHash3 of ``view:feature``, with a ``feast.types.Value``, and for each view ``_ts:view`` with the event
time, a ``google.protobuf.Timestamp``. A null is an empty ``Value``; only the missing event time tells that an entity is
unknown. Both messages are decoded here because importing Feast takes 4 s and 200 MB.

Sources: docs/specs/online_store_format.md of Feast, and ``feast/infra/online_stores/redis.py`` of version 0.67.
"""

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

Value = str | int | float | bool | None
_TEXT = 2  # of Feast's ``ValueType``: ``STRING``
_NO_TIME = -(2**63)  # NaT, which Feast stores as a number
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {2: "text", 3: "integer", 4: "integer", 5: "double", 6: "float", 7: "boolean", 8: "date", 19: "null"}
_WIRES = {"text": 2, "integer": 0, "double": 1, "float": 5, "boolean": 0, "date": 0, "null": 0}


class Unreadable(ValueError):
    """Stored bytes are not what Feast writes; the message is why."""


def key_of(project: str, join_key: str, id: str) -> bytes:
    """Return the key of an entity's hash.

    Raises:
        UnicodeEncodeError: the id has half a character.
    """
    name, text = join_key.encode(), id.encode()
    parts = struct.pack("<III", 1, _TEXT, len(name)), name, struct.pack("<II", _TEXT, len(text)), text, project.encode()
    return b"".join(parts)


def field_of(view: str, feature: str) -> bytes:
    """Return the field of a feature in an entity's hash."""
    import mmh3  # here, because most deployments have no features

    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def time_field_of(view: str) -> bytes:
    """Return the field of a view's event time in an entity's hash."""
    return f"_ts:{view}".encode()


def value_of(data: bytes | None) -> Value:
    """Return a stored feature as a JSON value: a date as ISO 8601 in UTC; None for a null.

    Raises:
        Unreadable: it is not a text, a number, a boolean or a date.
    """
    found: Value = None
    for number, wire, given in _fields(data or b""):
        kind = _KINDS.get(number)
        if kind is None or _WIRES[kind] != wire:
            raise Unreadable(f"it has the field {number}, which is not a text, a number, a boolean or a date")
        found = _value(kind, given)
    return found


def time_of(data: bytes) -> datetime:
    """Return a stored event time, UTC.

    Raises:
        Unreadable: it is not a time.
    """
    seconds = nanos = 0
    for number, wire, given in _fields(data):
        if wire != 0 or number not in (1, 2) or not isinstance(given, int):
            raise Unreadable(f"it has the field {number}, which is not of a time")
        if number == 1:
            seconds = _signed(given)
        else:
            nanos = _signed(given)
    return _moment(seconds, nanos)


def _value(kind: str, given: int | bytes) -> Value:
    if isinstance(given, int):
        number = _signed(given)
        if kind == "date":
            return None if number == _NO_TIME else _iso(_moment(number))
        return None if kind == "null" else bool(number) if kind == "boolean" else number
    if kind == "text":
        try:
            return given.decode()
        except UnicodeDecodeError:
            raise Unreadable("it is a text that is not UTF-8") from None
    (fraction,) = struct.unpack("<d" if kind == "double" else "<f", given)
    if math.isinf(fraction):
        raise Unreadable("it is infinite")
    return None if math.isnan(fraction) else float(fraction)


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield the number, the wire type and the content of each field of a Protocol Buffers message."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            given, place = _varint(data, place)
            yield number, wire, given
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise Unreadable(f"it has the wire type {wire}")
        if place + size > len(data):
            raise Unreadable("it ends early")
        yield number, wire, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the number of up to 64 bits at ``place``, and the place after it."""
    found = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        found |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return found & (2**64 - 1), place
    raise Unreadable("it ends early" if shift < 70 else "it has a number of more than 64 bits")


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _moment(seconds: int, nanos: int = 0) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise Unreadable("its time is not in the years 1 to 9999") from None


def _iso(moment: datetime) -> str:
    # Always with the time: a signature may read 2024-03-01 as the 3rd of January, if its file is written so.
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
