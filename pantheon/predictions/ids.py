"""Ids of requests: UUIDs of version 7 (RFC 9562), which begin with their time, so that one is found without a search.

Within a process they increase: ids of one millisecond are numbered (method 1 of section 6.2). The other 62 bits are
from the system's random source: whoever sees some ids cannot guess others.
"""

import os
import threading
import time
import uuid
from datetime import UTC, datetime

_BATCH = 512  # ids whose random bits are fetched at once: each call of the system takes longer than an id
_COUNTER = 1 << 12
_lock = threading.Lock()
_last = 0  # milliseconds of the last id
_number = 0  # of the last id in its millisecond
_random: list[bytes] = []


def new_id() -> str:
    """Return a new id, greater than all before it in this process."""
    global _last, _number
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last:
            _last, _number = now, 0
        else:
            _number += 1
            if _number == _COUNTER:  # 4,096 ids in a millisecond: the next ones are of the next millisecond
                _last, _number = _last + 1, 0
        if not _random:
            block = os.urandom(8 * _BATCH)
            _random.extend(block[i : i + 8] for i in range(0, len(block), 8))
        high = (_last << 16) | 0x7000 | _number
        low = int.from_bytes(_random.pop(), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


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
