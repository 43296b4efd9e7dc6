"""Read numbers as people write them: 1,234.5 · 1.234,50 € · 34.1 % · (12) · <0.5. The spec says what is accepted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from pantheon.workflow.data.spec import Column, Source

BLANKS = "[ \u00a0\u202f\u2009]"
MINUS = "[\u2212\u2013\ufe63\uff0d]"
"""Characters that stand for a minus in printed texts, in addition to the hyphen."""
DIGITS = r"(?:\d(?:[\d.,'\u2019 \u00a0\u202f\u2009]*\d)?[.,]?|[.,]\d+)(?:[eE][+-]?\d+)?"
PLAIN = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
LIMIT = r"<=|>=|[<>\u2264\u2265]"


@dataclass(frozen=True)
class Written:
    """How the numbers of a column are written; the fields are those of ``Column``."""

    decimal: str = "."
    thousands: str = ""
    units: Mapping[str, float] = field(default_factory=dict)
    forms: tuple[str, ...] = ()


def written(column: Column, source: Source) -> Written:
    """Return how the numbers of a column are written, from its spec and that of the file."""
    own = column if column.decimal else source
    return Written(own.decimal, own.thousands, column.units, column.forms)


def parts(texts: pl.Series, before: str, after: str) -> pl.DataFrame:
    """Split trimmed texts into the parts of a number; null where a text is not a number.

    Args:
        before, after: patterns of the units that may stand there, without groups.

    Returns:
        Text columns: open, limit, sign, before, inner, sign2, number, after, minus, close, after2, plus.
    """
    pattern = (
        rf"^(?P<open>\()?\s*(?P<limit>{LIMIT})?\s*(?P<sign>[+-])?\s*(?P<before>{before})?\s*(?P<inner>\()?\s*"
        rf"(?P<sign2>[+-])?\s*(?P<number>{DIGITS})\s*(?P<after>{after})?\s*(?P<minus>-)?\s*(?P<close>\))?\s*"
        rf"(?P<after2>{after})?(?P<plus>\+)?$"
    )
    return texts.str.replace(MINUS, "-").str.extract_groups(pattern).struct.unnest()


def read_numbers(texts: pl.Series, how: Written) -> tuple[pl.Series, pl.Series]:
    """Read trimmed texts.

    Returns:
        The numbers (Float64, null for a text that is not one); and their digits with sign as Python writes them, null
        where a unit has a factor other than 1.
    """
    if all_plain(texts) and (how.decimal == "." or not texts.str.contains(".", literal=True).any()):
        numbers = texts.cast(pl.Float64, strict=False)
        finite = numbers.is_finite().fill_null(False)
        return numbers.set(~finite, None), texts.set(~finite, None)
    unit = "|".join(re.escape(text) for text in sorted(how.units, key=len, reverse=True)) or r"[^\s\S]"
    seen = parts(texts, unit, unit)
    plain = plain_number(seen["number"], how.decimal, how.thousands)
    signs = pl.sum_horizontal(pl.col("sign", "sign2", "minus", "open", "inner").is_not_null())
    brackets = pl.sum_horizontal(pl.col("open", "inner").is_not_null()) == pl.col("close").is_not_null().cast(pl.UInt32)
    proper = brackets & (signs <= 1) & (pl.col("after").is_null() | pl.col("after2").is_null())
    for form, marks in (("parentheses", ["close"]), ("minus behind", ["minus"]), ("limits", ["limit", "plus"])):
        if form not in how.forms:
            proper &= pl.all_horizontal(pl.col(marks).is_null())
    negative = (pl.col("sign", "sign2") == "-").fill_null(False)
    negative = pl.any_horizontal(negative, pl.col("minus", "close").is_not_null())
    factor = pl.lit(1.0)
    for place in ("before", "after", "after2"):
        if how.units:
            known = pl.col(place).replace_strict(
                list(how.units),
                pl.Series(list(how.units.values()), dtype=pl.Float64),
                default=None,
                return_dtype=pl.Float64,
            )
            factor = factor * known.fill_null(1.0)
    table = seen.with_columns(plain=plain).select(
        plain=pl.when(proper).then(pl.when(negative).then(pl.lit("-")).otherwise(pl.lit("")) + pl.col("plain")),
        factor=factor,
    )
    numbers = table["plain"].cast(pl.Float64, strict=False) * table["factor"]
    finite = numbers.is_finite().fill_null(False)
    table = table.with_columns(number=numbers).with_columns(
        pl.when(finite).then("number"), pl.when(finite & (table["factor"] == 1)).then("plain")
    )
    return table["number"].rename(texts.name), table["plain"].rename(texts.name)


def all_plain(texts: pl.Series) -> bool:
    """Return whether all texts are numbers as Python writes them: checked first, because most columns are."""
    return bool(texts.str.contains(PLAIN).all())


def read_integers(texts: pl.Series, how: Written) -> pl.Series:
    """Read trimmed texts as Int64; null for a text that is not a whole number."""
    numbers, plain = read_numbers(texts, how)
    exact = plain.cast(pl.Int64, strict=False)
    whole = numbers.to_frame("n").select(pl.when(pl.col("n") == pl.col("n").round()).then("n")).to_series()
    return exact.zip_with(exact.is_not_null(), whole.cast(pl.Int64, strict=False))


def plain_number(texts: pl.Series, decimal: str, thousands: str) -> pl.Series:
    """Return unsigned numbers as Python writes them, without thousands separators; null if a mark is misplaced.

    Groups have three digits, the first one to three and no 0 in front: 0.517 is a decimal. With commas they may also be
    Indian, as in 12,34,567.
    """
    plain, none = texts, nulls(pl.String(), len(texts))
    if thousands:
        mark = BLANKS if thousands.isspace() else re.escape(thousands).replace("'", "['\u2019]")
        groups = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
        if thousands == ",":
            groups = rf"(?:{groups}|[1-9]\d?(?:,\d\d)+,\d{{3}})"
        grouped = plain.str.contains(rf"^{groups}(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?$")
        plain = plain.zip_with(grouped.fill_null(False) | ~plain.str.contains(mark), none)
        plain = plain.str.replace_all(mark, "")
    if decimal == ",":
        plain = plain.zip_with(~plain.str.contains(".", literal=True), none)
        plain = plain.str.replace(",", ".", literal=True)
    return plain


def nulls(dtype: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, length)
