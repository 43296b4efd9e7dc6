"""Ids of requests: UUIDs of version 7 (RFC 9562), which begin with their time, so that one is found without a search.

Within a process they increase: ids of one millisecond are numbered (method 1 of section 6.2). The other 62 bits are
from the system's random source: whoever sees some ids cannot guess others.
"""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

_BATCH = 512  # ids whose random bits are fetched at once: each call of the system takes longer than an id
_COUNTER = 1 << 12
_lock = threading.Lock()
_last = 0  # milliseconds of the last id
_number = 0  # of the last id in its millisecond
_start = ""  # of the ids of that millisecond
_random: list[str] = []  # ends of ids


def new_id() -> str:
    """Return a new id, greater than all before it in this process."""
    global _last, _number, _start
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last:
            _last, _number, _start = now, 0, start(now)
        else:
            _number += 1
            if _number == _COUNTER:  # 4,096 ids in a millisecond: the next ones are of the next millisecond
                _last, _number, _start = _last + 1, 0, start(_last + 1)
        if not _random:
            _random.extend(ends(os.urandom(8 * _BATCH)))
        return f"{_start}{_number:03x}{_random.pop()}"


def start(milliseconds: int) -> str:
    """Return the first characters of the ids of a millisecond: all but its number and the random bits."""
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}-7"


def ends(random: bytes) -> Iterator[str]:
    """Yield an end of an id, with the variant of the standard, for each eight random bytes."""
    text = random.hex()
    for place in range(0, len(text), 16):
        variant = "89ab"[int(text[place], 16) & 3]
        yield f"-{variant}{text[place + 1 : place + 4]}-{text[place + 4 : place + 16]}"


def time_of(id_: str) -> datetime:
    """Return when an id was made, to the millisecond, UTC.

    Raises:
        ValueError: it is not a UUID of version 7.
    """
    if uuid.UUID(id_).version != 7:
        raise ValueError(f"{id_!r} is not a UUID of version 7")
    return datetime.fromtimestamp(milliseconds(str(uuid.UUID(id_))) / 1000, UTC)


def milliseconds(id_: str) -> int:
    """Return when an id was made, in milliseconds since the epoch; quick, with few checks.

    Raises:
        ValueError: it is not as ``new_id`` writes ids.
    """
    if len(id_) != 36 or id_[14] != "7":
        raise ValueError(f"{id_!r} is not a UUID of version 7")
    return int(id_[:8] + id_[9:13], 16)
