"""The content of a segment of the spool: a sequence of frames, each with a mark, its length and a checksum.

A frame is ``<4sII`` (the mark, the length of the payload, its CRC-32) and the payload: a letter, then for an answer
(``A``) the lengths of its record and of its rows (``<II``), the record, the rows and the answer, each as JSON; for
feedback (``F``) its record. The mark is not valid UTF-8, so that no JSON contains it: reading goes on behind damage.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from pantheon.predictions.records import Answered, Feedback

MARK = b"\xffPL1"
HEAD = struct.Struct("<4sII")
_LENGTHS = struct.Struct("<II")
_RECORD = 1 + _LENGTHS.size  # where the record begins in a payload
_encode = msgspec.json.Encoder().encode
_answered = msgspec.json.Decoder(Answered).decode
_feedback = msgspec.json.Decoder(Feedback).decode


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An answer with its rows and its answer, raw JSON."""

    record: Answered
    rows: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are not a frame.

    Attributes:
        at, bytes: where they begin, and how many they are.
        last: whether no frame follows. That is expected: the writer was killed while it wrote a frame that it never
            acknowledged.
    """

    at: int
    bytes: int
    last: bool


def of_answer(record: Answered, rows: bytes, answer: bytes) -> bytes:
    """Return the frame of an answer."""
    head = _encode(record)
    return _frame(b"".join((b"A", _LENGTHS.pack(len(head), len(rows)), head, rows, answer)))


def of_feedback(record: Feedback) -> bytes:
    """Return the frame of feedback."""
    return _frame(b"F" + _encode(record))


def read(data: bytes) -> Iterator[Entry | Feedback]:
    """Yield the complete frames of a segment."""
    return (found for found in scan(data) if not isinstance(found, Damage))


def scan(data: bytes) -> Iterator[Entry | Feedback | Damage]:
    """Yield the complete frames of a segment, and what is between and behind them."""
    good = place = 0  # the end of the last frame, and where the next one may begin
    while (place := data.find(MARK, place)) >= 0:
        found = _at(data, place)
        if found is None:
            place += 1
            continue
        entry, end = found
        if place > good:
            yield Damage(good, place - good, last=False)
        yield entry
        good = place = end
    if good < len(data):
        yield Damage(good, len(data) - good, last=True)


def _at(data: bytes, place: int) -> tuple[Entry | Feedback, int] | None:
    """Return the content of the frame at ``place``, and where it ends; None: there is no complete frame."""
    begin = place + HEAD.size
    if begin > len(data):
        return None
    _, length, checksum = HEAD.unpack_from(data, place)
    end = begin + length
    payload = data[begin:end]
    if zlib.crc32(payload) != checksum or len(payload) < length:
        return None
    return _decode(payload), end


def _decode(payload: bytes) -> Entry | Feedback:
    """Decode a payload; its checksum is right, so an error here is a mistake in this program and is not hidden."""
    if payload[:1] == b"F":
        return _feedback(payload[1:])
    head, rows = _LENGTHS.unpack_from(payload, 1)
    middle = _RECORD + head
    end = middle + rows
    return Entry(_answered(payload[_RECORD:middle]), payload[middle:end], payload[end:])


def _frame(payload: bytes) -> bytes:
    return HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload
