"""A stable hash of entities, so that a row never moves between the training and the test part.

Python's hash is seeded per process, and that of Polars may change between versions. These are standards: SplitMix64's
finaliser for integers (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014; the constants of
https://prng.di.unimi.it/splitmix64.c), and FNV-1a of the UTF-8 bytes for texts (RFC 9923), mixed by the same finaliser
since the high bits of FNV are weak. The plugin `polars-hash` has such hashes too, but takes 29 MB.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

FNV_START = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
LONGEST = 64
"""Texts up to this many bytes are hashed vectorised; longer texts are hashed one by one."""


def mix(hashes: Hashes) -> Hashes:
    """Mix the bits of every 64-bit integer (SplitMix64)."""
    mixed = hashes + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def fnv1a(texts: list[bytes]) -> Hashes:
    """Return the 64-bit FNV-1a hash of every text."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    width = int(lengths.max(initial=0))
    hashes = np.full(len(texts), FNV_START)
    if width == 0:
        return hashes
    if width > LONGEST:
        long = lengths > LONGEST
        hashes[~long] = fnv1a([text for text in texts if len(text) <= LONGEST])
        hashes[long] = [_fnv1a_one(text) for text in texts if len(text) > LONGEST]
        return hashes
    # One byte array for all texts: hash it column by column, where a text is long enough.
    table = np.array(texts, dtype=f"S{width}").view(np.uint8).reshape(len(texts), width)
    for place in range(width):
        here = lengths > place
        hashes = np.where(here, (hashes ^ table[:, place]) * FNV_PRIME, hashes)
    return hashes


def _fnv1a_one(text: bytes) -> int:
    word = int(FNV_START)
    for byte in text:
        word = ((word ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return word


def hash64(values: pl.Series) -> Hashes:
    """Return a 64-bit hash of every value of a column without nulls: integers by value, other types by their text."""
    if values.dtype.is_integer():
        return mix(values.cast(pl.Int64).to_numpy().view(np.uint64))
    return mix(fnv1a([text.encode() for text in values.cast(pl.String).to_list()]))


def below(share: float) -> np.uint64:
    """Return the threshold below which a ``share`` of all hashes is."""
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))
