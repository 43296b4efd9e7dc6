"""Divide the traffic into slots: a request or a key has one slot forever, and a change moves as few slots as possible.

A request is in the slot ``hash(salt, id) mod 10,000``, with BLAKE2b, which is the same in every process and on every
machine. Cumulative boundaries would also move keys between two versions whose shares do not change, and so does
weighted rendezvous hashing with three versions; here the owners of the slots are kept in the policy instead.
"""

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from itertools import groupby

from pantheon.errors import PantheonError
from pantheon.routing.policy import CHAMPION, SLOTS, Segments


def slot(salt: bytes, identity: str) -> int:
    """Return the slot of a request or of a key."""
    digest = blake2b(salt + identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SLOTS


def salted(salt: str) -> bytes:
    """Return the first argument of ``slot``."""
    return salt.encode() + b"\0"


def counts(percent: Mapping[str, float]) -> dict[str, int]:
    """Return the number of slots by version or alias; the champion gets what is left.

    Args:
        percent: by version or alias, 0 to 100, in steps of 0.01.

    Raises:
        PantheonError: a percentage is not possible, or their sum is not 100.
    """
    found: dict[str, int] = {}
    for target, share in percent.items():
        exact = share * SLOTS / 100
        if not 0 <= share <= 100 or abs(exact - round(exact)) > 1e-6:
            cure = "For example: `bin/pantheon route weights challenger=10`."
            raise PantheonError(f"{share:g} is not a percentage from 0 to 100 in steps of 0.01.", cure)
        found[target] = round(exact)
    total = sum(found.values())
    if CHAMPION not in found and total <= SLOTS:
        found[CHAMPION] = SLOTS - total
    elif total != SLOTS:
        cure = "Leave champion out, then it gets the rest." if CHAMPION in found else "They must not exceed 100."
        raise PantheonError(f"the sum of the percentages is {total * 100 / SLOTS:g}, not 100.", cure)
    return {target: count for target, count in found.items() if count}


def owned(split: Segments) -> dict[str, int]:
    """Return the number of slots by version or alias."""
    return dict(Counter(_owners(split)))


def layout(wanted: Mapping[str, int], before: Segments = ()) -> Segments:
    """Give versions their numbers of slots; of the slots in ``before``, only those move that must.

    Args:
        wanted: slots by version or alias; the sum is ``SLOTS``.
        before: the owners until now; empty: all belong to the champion.
    """
    owners: list[str] = _owners(before or ((SLOTS, CHAMPION),))
    surplus = Counter(owners)
    surplus.subtract(wanted)
    free = []
    for index in reversed(range(SLOTS)):
        if surplus[owners[index]] > 0:
            surplus[owners[index]] -= 1
            free.append(index)
    for target in wanted:
        for _ in range(-surplus[target]):
            owners[free.pop()] = target
    segments, end = [], 0
    for target, run in groupby(owners):
        end += len(list(run))
        segments.append((end, target))
    return tuple(segments)


def rounded(shares: Mapping[str, float]) -> dict[str, int]:
    """Return shares whose sum is 1 as numbers of slots whose sum is ``SLOTS`` (largest remainders)."""
    exact = {target: share * SLOTS for target, share in shares.items()}
    found = {target: int(value) for target, value in exact.items()}
    by_remainder = sorted(exact, key=lambda target: found[target] - exact[target])
    for target in by_remainder[: SLOTS - sum(found.values())]:
        found[target] += 1
    return {target: count for target, count in found.items() if count}


def _owners(split: Segments) -> list[str]:
    owners: list[str] = []
    for end, target in split:
        owners += [target] * (end - len(owners))
    return owners
