"""What a part says about itself: which run wrote it, and whether its rows were as expected.

What is not as expected is written anyway, and shown: features describe the world, and whoever decides needs to see it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from pantheon.features.contract import Check

CHECKS, RUN = "pantheon_checks", "pantheon_run"  # in the metadata of a part
_TIME: Final = "%Y%m%dT%H%M%S%fZ"  # at the beginning of a part's name


class Kept(msgspec.Struct, frozen=True):
    """What a part says about itself.

    Attributes:
        written: when, ISO 8601, by its name; empty: the name does not say.
        run: which run wrote it; empty: another program.
        checks: of all rows that were sent together; None: nobody checked them.
    """

    written: str
    run: str
    checks: tuple[Check, ...] | None


def encoded(checks: Iterable[Check]) -> str:
    """Return checks as text, for the metadata of a part."""
    return msgspec.json.encode(list(checks)).decode()


def kept(path: Path) -> Kept:
    """Return what a part says about itself."""
    said = pl.read_parquet_metadata(path)
    checks = None
    if text := said.get(CHECKS):
        try:
            checks = msgspec.json.decode(text, type=tuple[Check, ...])
        except msgspec.DecodeError:  # another program wrote it
            checks = None
    try:
        written = datetime.strptime(path.name.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return Kept("", said.get(RUN, ""), checks)
    return Kept(written.isoformat(timespec="seconds"), said.get(RUN, ""), checks)


def missing_in(values: pl.Series) -> int:
    """Return how many values are missing: null, or not a number."""
    return values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
