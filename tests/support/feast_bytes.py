"""Rows as Feast stores them in Valkey, written without Feast, and bundles whose models read them."""

import json
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mmh3

VIEW, ENTITY, KEY = "robots", "robot-id", "robot_id"
WEEK = 7 * 86400.0
INPUTS = {"robot-age": ("robot_age", "number"), "rust-level": ("rust_level", "number"), "battery": ("battery", "text")}


def fields(values: Mapping[str, Any], view: str, at: datetime) -> list[bytes]:
    """The fields of a hash and their contents, in turn. A value may be the bytes of a message."""
    found = [b"_ts:" + view.encode(), timestamp(at)]
    for name, value in values.items():
        found += [
            struct.pack("<I", mmh3.hash(f"{view}:{name}", signed=False)),
            value if isinstance(value, bytes) else message(value),
        ]
    return found


def entity(id: str, key: str = KEY, project: str = "pantheon") -> bytes:
    """The key of an entity's hash."""
    return b"\1\0\0\0" + _sized(key) + _sized(id) + project.encode()


def _sized(text: str) -> bytes:
    return b"\2\0\0\0" + struct.pack("<I", len(text.encode())) + text.encode()


def varint(number: int) -> bytes:
    number %= 2**64
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def message(value: Any) -> bytes:
    """A value as Feast's ``Value``: texts, whole numbers, numbers, booleans and times."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x38" + varint(value)
    if isinstance(value, int):
        return b"\x20" + varint(value)
    if isinstance(value, float):
        return b"\x29" + struct.pack("<d", value)
    if isinstance(value, datetime):
        return b"\x40" + varint(int(value.timestamp()))
    return b"\x12" + varint(len(value.encode())) + value.encode()


def timestamp(moment: datetime) -> bytes:
    """A time as ``google.protobuf.Timestamp``."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds, micros = since.days * 86_400 + since.seconds, since.microseconds
    first = b"\x08" + varint(seconds) if seconds else b""
    return first + (b"\x10" + varint(micros * 1000) if micros else b"")


def features(
    inputs: Mapping[str, tuple[str, str]] = INPUTS, *, view: str = VIEW, ttl: float = 0.0, entity: str = ENTITY
) -> dict[str, Any]:
    """The content of ``features.json``: by input, the field and its type."""
    sources = {
        name: {"view": view, "field": field, "type": kind, "ttl_seconds": ttl} for name, (field, kind) in inputs.items()
    }
    return {"service": "robots_1", "entity": entity, "key": KEY if entity else "row", "inputs": sources}


def with_features(bundle: Path, **given: Any) -> Path:
    """A bundle with ``features.json``; ``given`` as for ``features``."""
    (bundle / "features.json").write_text(json.dumps(features(**given)))
    return bundle


def ago(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() - seconds, UTC)
