"""The tutorial's data: robots that wear out, written as a CSV with typing errors.

The same rows and seed give the same bytes everywhere: the random bits come from PCG64, whose stream NumPy guarantees
(https://numpy.org/doc/stable/reference/random/compatibility.html), and everything else is sums, products and
comparisons, which do not differ between processors. A longer file starts with the shorter one of the same seed.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

BLOCK = 1000
"""Rows that share a set of robots, so that any range of rows can be generated independently."""
ROBOTS = 200
"""Robots in a block: five observations per robot, on average."""
CHUNK = 200 * BLOCK
"""Rows generated at once; about 60 MB."""
DRAWS = 6
"""Random 64-bit integers per row."""

OLDEST = 40
LEVELS = ("high", "low", "medium")
SLIPS = ("-3", "999", "1,999")
FIRST_DAY = np.datetime64("2024-01-01")
DAYS = 730

Bits = NDArray[np.uint64]


def _bits(seed: int, stream: int, start: int, count: int) -> Bits:
    """Return ``count`` 64-bit integers of a random stream, from the ``start``-th on."""
    generator = np.random.PCG64([seed, stream])
    return generator.advance(start).random_raw(count)


def _share(bits: Bits) -> NDArray[np.float64]:
    """Convert 64-bit integers to numbers in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _part(bits: Bits, place: int) -> NDArray[np.float64]:
    """Convert the ``place``-th 16 bits of every integer to a number in [0, 1)."""
    return ((bits >> np.uint64(16 * place)) & np.uint64(0xFFFF)).astype(np.float64) * 2.0**-16


def robots(start: int, stop: int, seed: int = 42) -> pl.DataFrame:
    """Return rows ``start`` … ``stop - 1``, every cell as text. ``start`` must be a multiple of ``BLOCK``.

    The rule: rust, age and a low battery worsen a robot's condition; age and much rust together more than their sum.
    With the noise, about nine in ten conditions can be predicted from the other columns.
    """
    if start % BLOCK:
        raise ValueError(f"start must be a multiple of {BLOCK}")
    count = stop - start
    bits = _bits(seed, 0, start * DRAWS, count * DRAWS).reshape(count, DRAWS)
    block = np.arange(start, stop) // BLOCK
    robot = (bits[:, 0] >> np.uint64(40)).astype(np.int64) % ROBOTS
    first = start // BLOCK * ROBOTS
    built = _share(_bits(seed, 1, first, (-(-stop // BLOCK)) * ROBOTS - first))
    robot += block * ROBOTS
    born = built[robot - first]
    day = (_share(bits[:, 1]) * DAYS).astype(np.int64)
    age = (OLDEST * born * born + day / 365.25).astype(np.int64)
    mood = _part(bits[:, 2], 0) < 0.4
    rust = np.where(mood, age / 4 + 6 * _part(bits[:, 2], 1) - 2, 11 * _part(bits[:, 2], 1))
    rust = np.clip(np.floor(rust), 0, 10).astype(np.int64)
    level = (_share(bits[:, 3]) * 3).astype(np.int64)
    noise = _part(bits[:, 4], 0) + _part(bits[:, 4], 1) + _part(bits[:, 4], 2) - 1.5
    score = 6.0 - 0.9 * rust - 0.08 * age + np.array([1.5, -2.0, 0.5])[level] + 3.2 * noise
    score -= 2.0 * ((age > 15) & (rust > 4))

    # Typing errors: a random share decides which one, if any; the cell's text then comes from a table.
    ages = [*map(str, range(OLDEST + 3)), "", "n/a", *SLIPS]
    age_code = _slip(age, _part(bits[:, 5], 0), [0.01, 0.005, 0.004, 0.004, 0.001], OLDEST + 3)
    rusts = [*map(str, range(11)), *(f"{n} " for n in range(11)), "", "n/a"]
    slip = _part(bits[:, 5], 1)
    rust_code = _slip(rust + 11 * (slip > 0.98), slip, [0.015, 0.005], 22)
    levels = [*LEVELS, *(f" {name.title()}" for name in LEVELS), *(name.upper() for name in LEVELS), ""]
    slip = _part(bits[:, 5], 2)
    level_code = _slip(level + 3 * (slip > 0.98) + 3 * (slip > 0.95), slip, [0.01], 9)
    slip = _part(bits[:, 5], 3)
    good = _slip((score > 0).astype(np.int64), slip, [0.002], 2)

    dates = np.datetime_as_string(FIRST_DAY + np.arange(DAYS)).tolist()
    # A duplicated row: the same as the previous one.
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
    """Return ``code``, with ``first + i`` instead for a share ``rates[i]`` of the cells."""
    edges = np.cumsum(rates)
    which = np.searchsorted(edges, share, side="right")
    return np.where(which < len(rates), first + which, code)


def write_robots_csv(path: Path, rows: int, seed: int = 42) -> None:
    """Write ``rows`` robots to ``path`` as CSV, in chunks, so that memory use does not depend on the number of rows.

    Raises:
        OSError: the disk is full, the folder does not exist …
    """
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK):
            chunk = robots(start, min(start + CHUNK, rows), seed)
            chunk.write_csv(file, include_header=start == 0, quote_style="necessary")
