"""The tutorial's data: robots that wear out, written as a CSV with the slips that people make when they type.

The same rows and seed give the same bytes everywhere: random bits are those of PCG64, whose stream NumPy keeps
(https://numpy.org/doc/stable/reference/random/compatibility.html), and only sums, products and comparisons follow,
no function that differs between processors. A longer file begins with the shorter one of the same seed.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

BLOCK = 1000
"""Rows that share a set of robots, so that any range of rows can be made by itself."""
ROBOTS = 200
"""Robots in a block: five observations each, on average."""
CHUNK = 200 * BLOCK
"""Rows made at once; about 60 MB."""
DRAWS = 6
"""Random words of 64 bits for a row."""

OLDEST = 40
LEVELS = ("high", "low", "medium")
SLIPS = ("-3", "999", "1,999")
FIRST_DAY = np.datetime64("2024-01-01")
DAYS = 730

Bits = NDArray[np.uint64]


def _bits(seed: int, stream: int, start: int, count: int) -> Bits:
    """``count`` words of a stream, from the ``start``-th on."""
    generator = np.random.PCG64([seed, stream])
    return generator.advance(start).random_raw(count)


def _share(bits: Bits) -> NDArray[np.float64]:
    """Words as numbers in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _part(bits: Bits, place: int) -> NDArray[np.float64]:
    """The ``place``-th quarter of each word as a number in [0, 1)."""
    return ((bits >> np.uint64(16 * place)) & np.uint64(0xFFFF)).astype(np.float64) * 2.0**-16


def robots(start: int, stop: int, seed: int = 42) -> pl.DataFrame:
    """Rows ``start`` … ``stop - 1``, every cell as text. ``start`` is a multiple of ``BLOCK``.

    The rule: rust, age and a low battery wear a robot down; an old one with much rust is worse off than their sum.
    Noise leaves about nine in ten to be told from what was observed.
    """
    if start % BLOCK:
        raise ValueError(f"start must be a multiple of {BLOCK}")
    count = stop - start
    words = _bits(seed, 0, start * DRAWS, count * DRAWS).reshape(count, DRAWS)
    block = np.arange(start, stop) // BLOCK
    robot = (words[:, 0] >> np.uint64(40)).astype(np.int64) % ROBOTS
    first = start // BLOCK * ROBOTS
    built = _share(_bits(seed, 1, first, (-(-stop // BLOCK)) * ROBOTS - first))
    robot += block * ROBOTS
    born = built[robot - first]
    day = (_share(words[:, 1]) * DAYS).astype(np.int64)
    age = (OLDEST * born * born + day / 365.25).astype(np.int64)
    mood = _part(words[:, 2], 0) < 0.4
    rust = np.where(mood, age / 4 + 6 * _part(words[:, 2], 1) - 2, 11 * _part(words[:, 2], 1))
    rust = np.clip(np.floor(rust), 0, 10).astype(np.int64)
    level = (_share(words[:, 3]) * 3).astype(np.int64)
    noise = _part(words[:, 4], 0) + _part(words[:, 4], 1) + _part(words[:, 4], 2) - 1.5
    score = 6.0 - 0.9 * rust - 0.08 * age + np.array([1.5, -2.0, 0.5])[level] + 3.2 * noise
    score -= 2.0 * ((age > 15) & (rust > 4))

    # Slips of the hand: one share decides which, if any; each cell is then looked up in a table of texts.
    ages = [*map(str, range(OLDEST + 3)), "", "n/a", *SLIPS]
    age_code = _slip(age, _part(words[:, 5], 0), [0.01, 0.005, 0.004, 0.004, 0.001], OLDEST + 3)
    rusts = [*map(str, range(11)), *(f"{n} " for n in range(11)), "", "n/a"]
    slip = _part(words[:, 5], 1)
    rust_code = _slip(rust + 11 * (slip > 0.98), slip, [0.015, 0.005], 22)
    levels = [*LEVELS, *(f" {name.title()}" for name in LEVELS), *(name.upper() for name in LEVELS), ""]
    slip = _part(words[:, 5], 2)
    level_code = _slip(level + 3 * (slip > 0.98) + 3 * (slip > 0.95), slip, [0.01], 9)
    slip = _part(words[:, 5], 3)
    good = _slip((score > 0).astype(np.int64), slip, [0.002], 2)

    dates = np.datetime_as_string(FIRST_DAY + np.arange(DAYS)).tolist()
    # A row that was entered twice: the same as the one before it.
    row = np.arange(count)
    row -= (slip > 0.995) & ((row + start) % BLOCK > 0)

    def texts(table: list[str], code: NDArray[np.int64]) -> pl.Series:
        return pl.Series(table, dtype=pl.String).gather(pl.Series(code[row]))

    return pl.DataFrame(
        {
            "robot-id": pl.Series(robot[row] + 1).cast(pl.String),
            "observed-at": texts(dates, day),
            "robot-age": texts(ages, age_code),
            "rust-level": texts(rusts, rust_code),
            "battery": texts(levels, level_code),
            "condition": texts(["0", "1", ""], good),
        }
    )


def _slip(code: NDArray[np.int64], share: NDArray[np.float64], rates: list[float], first: int) -> NDArray[np.int64]:
    """``code``, but for a share ``rates[i]`` of the cells ``first + i``."""
    edges = np.cumsum(rates)
    which = np.searchsorted(edges, share, side="right")
    return np.where(which < len(rates), first + which, code)


def write_robots_csv(path: Path, rows: int, seed: int = 42) -> None:
    """Write ``rows`` robots to ``path`` as CSV, in chunks: memory stays the same however many.

    Raises:
        OSError: the disk is full, the folder is not there …
    """
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK):
            chunk = robots(start, min(start + CHUNK, rows), seed)
            chunk.write_csv(file, include_header=start == 0, quote_style="necessary")
