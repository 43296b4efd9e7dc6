"""A hash of entities that stays the same for ever, so that a row never moves between training and test.

Python's hash is seeded for each process, that of Polars may change with its version. These are published: SplitMix64's
finaliser for integers (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014; the constants of
https://prng.di.unimi.it/splitmix64.c), FNV-1a of the UTF-8 bytes for texts (RFC 9923), mixed by the same finaliser
since FNV leaves its high bits poor. The plugin `polars-hash` has such hashes too, at 29 MB.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Words = NDArray[np.uint64]

FNV_START = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
LONGEST = 64
"""Bytes of a text that are hashed at once for all rows; longer texts are hashed one by one."""


def mix(words: Words) -> Words:
    """SplitMix64: a well spread word for each word."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def fnv1a(texts: list[bytes]) -> Words:
    """FNV-1a, 64 bits, of each text."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    width = int(lengths.max(initial=0))
    words = np.full(len(texts), FNV_START)
    if width == 0:
        return words
    if width > LONGEST:
        long = lengths > LONGEST
        words[~long] = fnv1a([text for text in texts if len(text) <= LONGEST])
        words[long] = [_fnv1a_one(text) for text in texts if len(text) > LONGEST]
        return words
    # One array of bytes for all: column by column, where a text is long enough.
    table = np.array(texts, dtype=f"S{width}").view(np.uint8).reshape(len(texts), width)
    for place in range(width):
        here = lengths > place
        words = np.where(here, (words ^ table[:, place]) * FNV_PRIME, words)
    return words


def _fnv1a_one(text: bytes) -> int:
    word = int(FNV_START)
    for byte in text:
        word = ((word ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return word


def hash64(values: pl.Series) -> Words:
    """A word of 64 bits for each value of a column without nulls: integers by their value, all else by its text."""
    if values.dtype.is_integer():
        return mix(values.cast(pl.Int64).to_numpy().view(np.uint64))
    return mix(fnv1a([text.encode() for text in values.cast(pl.String).to_list()]))


def below(share: float) -> np.uint64:
    """Words below this make up ``share`` of all words."""
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))
