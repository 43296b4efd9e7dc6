"""What was observed of a column, and words for it."""

import math
from dataclasses import dataclass, field, replace

import polars as pl

from pantheon.workflow.data.spec import Column


@dataclass(frozen=True)
class Evidence:
    """The input of ``judge``: what was observed of a column.

    Attributes:
        name: the column's name.
        cells: its sampled cells as trimmed text, null where missing.
        rows: rows of the file.
        step: every step-th row was sampled.
        everything: all its values, if they are few.
        different: approximate number of distinct values in the file; 0 if the sample shows it.
        native: boolean, integer, number, date or time if the file declares a type; else "".
        words: how often every text that means missing occurs in the sample, as it is written; "" is a blank cell.
        null_values: those of them that mean missing in this column only.
        kept: words that often mean missing, and are values here.
    """

    name: str
    cells: pl.Series
    rows: int
    step: int
    everything: frozenset[str] | None
    native: str = ""
    different: int = 0
    words: dict[str, int] = field(default_factory=dict)
    null_values: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def present(self) -> pl.Series:
        return self.cells.drop_nulls()

    @property
    def missing(self) -> float:
        return self.cells.null_count() / max(1, len(self.cells))


def spoilt(seen: Evidence, bad: pl.Series, column: Column) -> Column | None:
    """Return the column with a tolerance for its unreadable cells, if they are few; None if the type does not fit.

    Scattered unreadable cells become missing. A block of them is more likely another column's values: `clean_data`
    then stops and names the row.
    """
    count = int(bad.sum())
    if not count:
        return column
    share = count / len(bad)
    blocks = int((bad & ~bad.shift(1, fill_value=False)).sum())
    text = short(seen.present.filter(bad)[0])
    if share < 0.5 and count >= 20 * blocks:
        return replace(column, why=f"except a block of rows with other values, such as {text}")
    if share > 0.2:
        return None
    room = math.ceil(200 * share) / 100
    return replace(column, max_unreadable=max(0.01, room), why=f"except {share:.1%} unreadable values, such as {text}")


def join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def short(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")


def missing_told(seen: Evidence, missing: float) -> str:
    """Return how many cells are missing, and the words that were taken as missing."""
    if not missing:
        return ""
    about = "" if seen.step == 1 else "about "
    shown = [f"{'blank' if not word else short(word)} {count * seen.step:,}" for word, count in seen.words.items()]
    return f"missing in {missing:.1%}" + (f" ({about}{', '.join(shown[:6])})" if shown else "")


def kept_told(seen: Evidence) -> str:
    return f"{' and '.join(map(short, seen.kept))} is a value here, not missing" if seen.kept else ""
