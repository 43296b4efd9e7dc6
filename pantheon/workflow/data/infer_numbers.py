"""Find out how the numbers of a column are written: the marks, the units, and other forms."""

import re
from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from pantheon.workflow.data.number_forms import LIMIT, Written, all_plain, parts, read_numbers

STYLES = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
MONEY = (
    "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|AUD|CAD|NZD|BRL|MXN|ARS|CLP|COP|ZAR|"
    "KRW|SGD|HKD|TWD|THB|IDR|MYR|PHP|VND|ILS|AED|SAR|EGP|NGN|KES"
)
BEFORE = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{MONEY}|Rs\.?|Fr\.|[kK]r\.?|z\u0142|K\u010d|RM)"
AFTER = r"(?:[%\u2030\u00b0\p{Sc}\p{L}\u00b5][\p{L}\p{Sc}/%\u00b0\u00b2\u00b3\u00b7^.\d]{0,11}(?: \p{L}{1,8})?)"
THOUSANDS = dict.fromkeys(("k", "K", "tsd", "Tsd"), 1e3) | dict.fromkeys(("m", "M", "Mio", "mio", "mln", "Mln"), 1e6)
THOUSANDS |= dict.fromkeys(("B", "bn", "Bn", "Mrd"), 1e9)
"""Units that stand for a power of ten where several of them, or a currency, occur."""
ENOUGH = 0.8
"""Share of a column's texts that must be numbers for their units to be looked at."""
FEW = 20
"""Up to so many different values a limit such as <1 may be a category of its own."""
LOOKED = 2000
"""Distinct texts that show how numbers are written."""


@dataclass(frozen=True)
class Style:
    """The number format of a file, and whether the day comes first in its dates."""

    decimal: str = "."
    thousands: str = ""
    day_first: bool = False


@dataclass(frozen=True)
class Found:
    """How the numbers of a column are written.

    Attributes:
        how: for ``read_numbers``; None if they are not numbers.
        notes: what is not usual, for the reason in the spec.
    """

    how: Written | None
    notes: list[str] = field(default_factory=list)


def digits_of(texts: pl.Series) -> pl.Series:
    """Return the digits with their marks of texts that are numbers of any form, without sign and units."""
    if all_plain(texts):
        return texts.drop_nulls().str.strip_prefix("-")
    return parts(texts, BEFORE, AFTER)["number"].drop_nulls()


def style_among(columns: list[pl.Series], semicolons: bool) -> Style:
    """Return the marks that fit most of the digits in a file's columns.

    Args:
        semicolons: whether they separate the columns: commas are decimal then; if ambiguous, 1,234 is a little more
            than one.
    """
    shown = pl.concat([column.alias("cell") for column in columns]) if columns else pl.Series([], dtype=pl.String)
    order = sorted(STYLES, key=lambda one: (one != (".", ""), one[0] == ".")) if semicolons else list(STYLES)
    best = max(order, key=lambda one: fit(shown, *one))
    return Style(*best, day_first=best[0] == "," or semicolons)


def fit(digits: pl.Series, decimal: str, thousands: str) -> int:
    return int(read_numbers(digits, Written(decimal, thousands))[0].is_not_null().sum())


def look(texts: pl.Series, style: Style) -> Found:
    """Find out how a column's numbers are written.

    Args:
        texts: its distinct texts, trimmed, the most frequent ones first.
        style: that of the file, which decides where a column fits several.
    """
    texts = texts.head(LOOKED)
    plain = Written(style.decimal, style.thousands)
    if read_numbers(texts, plain)[0].null_count() == 0:
        return Found(plain, both_ways(texts, plain))
    seen = parts(texts, BEFORE, AFTER)
    good = seen.filter(pl.col("number").is_not_null())
    if good.height < ENOUGH * len(texts):
        return Found(plain)
    if good["number"].str.contains(r"^0\d").any():
        return Found(None)  # C-000465 is a code
    marks = [(style.decimal, style.thousands), *STYLES]
    decimal, thousands = max(marks, key=lambda one: fit(good["number"], *one))
    units, why = units_of(good)
    if units is None:
        return Found(None, [why])
    forms = []
    if (good["close"].is_not_null() & (good["open"].is_not_null() | good["inner"].is_not_null())).any():
        forms.append("parentheses")
    if good["minus"].is_not_null().any():
        forms.append("minus behind")
    if good["number"].n_unique() > FEW and (good["limit"].is_not_null() | good["plus"].is_not_null()).any():
        forms.append("limits")
    how = Written(decimal, thousands, units, tuple(forms))
    notes = both_ways(texts, how)
    if units:
        factors = {unit: factor for unit, factor in units.items() if factor != 1}
        notes.append(f"in {' or '.join(units)}" if not factors else f"times {told(factors)}")
    if "parentheses" in forms:
        notes.append("(1) is -1")
    if "minus behind" in forms:
        notes.append("1- is -1")
    return Found(how, notes)


def units_of(seen: pl.DataFrame) -> tuple[dict[str, float] | None, str]:
    """Return the units with their factors; None and the reason if there are several kinds of them."""
    before = Counter(seen["before"].drop_nulls().to_list())
    after = Counter([*seen["after"].drop_nulls().to_list(), *seen["after2"].drop_nulls().to_list()])
    rare = seen.height // 100
    before = Counter({unit: count for unit, count in before.items() if count > rare})
    after = Counter({unit: count for unit, count in after.items() if count > rare})
    powers = {unit: THOUSANDS[unit.rstrip(".")] for unit in after if unit.rstrip(".") in THOUSANDS}
    money = bool(before)
    same = len({unit.casefold().rstrip("s.") for unit in after if unit not in powers})
    if len(powers) == 1 and not money and len(after) == 1:
        powers = {}  # 5 m may be metres: without another unit, the power does not matter
        same = 1
    if len({unit.casefold().rstrip(".") for unit in before}) > 1 or same > 1 or (powers and same):
        several = [unit for unit, _ in (before + after).most_common(3)]
        wanted = ", ".join(f'"{unit}" = 1' for unit in several)
        what = f"numbers with several units: {', '.join(map(repr, several))}"
        return None, f'{what}; to use it, set type = "number" and units = {{{wanted}}} with the right factors'
    return {unit: powers.get(unit, 1.0) for unit in (*before, *after)}, ""


def told(factors: dict[str, float]) -> str:
    return ", ".join(f"{factor:,.0f} for {unit}" for unit, factor in factors.items())


def both_ways(texts: pl.Series, how: Written) -> list[str]:
    """Return a note if marks group thousands here, and could as well be decimal ones."""
    if how.thousands not in (".", ","):
        return []
    digits = digits_of(texts)
    grouped = digits.filter(digits.str.contains(how.thousands, literal=True))
    once = rf"^[1-9]\d{{0,2}}{re.escape(how.thousands)}\d{{3}}$"
    if len(grouped) and grouped.str.contains(once).all() and not digits.str.contains(how.decimal, literal=True).any():
        text = grouped[0]
        return [f"{text} is read as {text.replace(how.thousands, '')}; a decimal mark would fit, too"]
    return []


def limited(texts: pl.Series) -> pl.Series:
    """Return which texts are limits, such as <0.5 and 80+."""
    return texts.str.contains(rf"^\(?({LIMIT})|\+$")
