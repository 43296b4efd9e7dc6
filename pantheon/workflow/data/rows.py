"""Find rows that are not data: the header again in the middle, blank lines, totals and notes at the end."""

import re
from dataclasses import dataclass, field

import polars as pl

TAIL = 5
"""Rows at the end that may be totals or notes."""
PLACES = 5
"""Rows that are named in a sentence, at most."""
TOTALS = (
    *("totals?", "totaux", "totale", "sums?", "summe", "gesamt(summe)?", "insgesamt", "somme", "suma", "soma"),
    *("averages?", "mean", "mittelwert", "durchschnitt", "moyenne", "count", "anzahl", "\u03a3"),
    *("\u0438\u0442\u043e\u0433\u043e", "\u0432\u0441\u0435\u0433\u043e", "\u5408\u8ba1", "\u603b\u8ba1"),
)
TOTAL = re.compile(rf"(grand |sub-?\s?)?({'|'.join(TOTALS)})\b.*", re.IGNORECASE)
NUMBER = re.compile(r"\W{0,3}\d[\d.,'\s]*\W{0,3}")
END = "\x1a"  # the end of a file in DOS


@dataclass
class Left:
    """Rows that were left out.

    Attributes:
        headers: places of repeated headers, from 1.
        blank: number of blank lines.
        ends: first cells of the totals and notes at the end.
    """

    headers: list[int] = field(default_factory=list)
    blank: int = 0
    ends: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.headers) + self.blank + len(self.ends)

    def add_ends(self, ends: list[str]) -> None:
        """Add the rows that ``footer`` found."""
        self.blank += ends.count("")
        self.ends += [text for text in reversed(ends) if text]

    def notes(self) -> list[str]:
        """Return a sentence for every kind of them."""
        found = []
        if self.headers:
            shown = ", ".join(f"{place:,}" for place in self.headers[:PLACES])
            more = " \u2026" if len(self.headers) > PLACES else ""
            found.append(f"the header is repeated in {plural(len(self.headers), 'row')} ({shown}{more}): left out")
        if self.blank:
            found.append(f"{plural(self.blank, 'blank line')} left out")
        if self.ends:
            shown = ", ".join(repr(text[:40]) for text in self.ends)
            found.append(f"{plural(len(self.ends), 'row')} at the end left out, of totals or notes: {shown}")
        return found


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def is_text(frame: pl.DataFrame | pl.LazyFrame) -> bool:
    """Whether all columns are text, as in files in which such rows occur."""
    return all(dtype == pl.String for dtype in frame.collect_schema().dtypes())


def key(names: list[str]) -> str:
    """Return the column that shows a repeated header."""
    return next((name for name in names if not re.fullmatch(r"column_\d+", name)), names[0])


def not_data(frame: pl.DataFrame) -> pl.Series | None:
    """Return which rows repeat the header, or are blank; None if there are none. Fast if there are none."""
    name = key(frame.columns)
    first = frame[name]
    found = None
    like = (first.str.strip_chars() == name).fill_null(False)
    if like.any():
        same = [
            (frame[each].str.strip_chars() == each).fill_null(False) | frame[each].is_null() for each in frame.columns
        ]
        every = same[0]
        for one in same[1:]:
            every &= one
        filled = frame.select(pl.sum_horizontal(pl.all().is_not_null())).to_series() >= max(2, frame.width // 2)
        found = like & every & filled
    if first.null_count():
        blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        found = blank if found is None else found | blank
    return found if found is not None and found.any() else None


def without(frame: pl.DataFrame, offset: int, left: Left) -> pl.DataFrame:
    """Return the rows that are data, and add the others to ``left``; ``offset`` is the number of rows before."""
    mask = not_data(frame)
    if mask is None:
        return frame
    blank = frame[key(frame.columns)].is_null()
    left.headers += [offset + int(place) + 1 for place in (mask & ~blank).arg_true()]
    left.blank += int((mask & blank).sum())
    return frame.filter(~mask)


def footer(tail: pl.DataFrame) -> list[str]:
    """Return the first cells of the rows at the end that are totals or notes, from the last one; "" for a blank line.

    Args:
        tail: the last rows of the table.
    """
    ends: list[str] = []
    rows = [[(cell or "").strip(END).strip() for cell in row] for row in tail.rows()]
    for row in reversed(rows[-TAIL:]):
        filled = [cell for cell in row if cell]
        if not filled:
            ends.append("")
            continue
        rest = [cell for cell in filled[1:] if not NUMBER.fullmatch(cell)]
        total = TOTAL.fullmatch(filled[0]) and not rest and (len(row) == 2 or len(filled) < len(row))
        note = len(row) > 2 and len(filled) == 1 and bool(row[0]) and not NUMBER.fullmatch(row[0])
        if not total and not note:
            break
        ends.append(filled[0])
    ordinary = rows[: len(rows) - len(ends)][-TAIL:]
    if not ordinary or sum(sum(map(bool, row)) for row in ordinary) <= len(ordinary):  # most rows have one cell only
        return []
    return ends
