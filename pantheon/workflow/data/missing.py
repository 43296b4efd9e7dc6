"""Decide which words mean "missing" in a column: "NA" may be a country, "None" a choice, "-" a result."""

import re

import polars as pl

from pantheon.workflow.data.spec import NULLS

MISSING_TEXTS = frozenset((
    "unknown", "missing", "not available", "not applicable", "n.a.", "undefined", "tbd", "(blank)",
    "#value!", "#div/0!", "#ref!", "#name?", "inf", "-inf", "infinity", "-infinity", "nil", "void", "\u2013", "\u2014",
))  # fmt: skip
"""Texts that mean "missing" in a column of numbers or dates, besides ``NULLS``."""
NEVER = frozenset(("nan", "?", "#n/a"))
"""Words for missing that are never a category: programs write them, and nobody chooses them."""
ZERO_DATE = re.compile(r"0{1,4}[./-]0{1,2}[./-]0{1,4}( 00:00(:00)?(\.0+)?)?")
NUMERIC = r"^[^\p{L}\d]{0,3}(?:\p{Lu}{1,3})?[^\p{L}\d]{0,3}\d"
"""How numbers and dates begin: with digits, after a sign, a bracket or a currency."""


def values_among(folded: pl.Series, nulls: frozenset[str]) -> frozenset[str]:
    """Return the words for missing that are values of this column: frequent, or one of two values.

    Args:
        folded: its cells, trimmed and in lower case.
        nulls: words in lower case that usually mean missing.
    """
    if not folded.is_in(list(nulls - NEVER)).any():
        return frozenset()
    counts = folded.filter(folded != "").rename("").value_counts().rows()
    words = {text: count for text, count in counts if text in nulls and text not in NEVER}
    others = {text: count for text, count in counts if text not in nulls}
    if not words or not others:
        return frozenset()
    if len(others) == 1 and len(words) == 1:
        return frozenset(words)
    if share(pl.Series(list(others))) > 0.5:
        return frozenset()
    total = sum(others.values()) + sum(words.values())
    kinds = len(others) + len(words)
    return frozenset(word for word, count in words.items() if count >= 5 and count * 2 * kinds >= total)


def words_among(texts: pl.Series, folded: pl.Series) -> tuple[str, ...]:
    """Return further texts that mean missing in a column of numbers or dates; none for other columns.

    Args:
        texts: its cells, trimmed.
        folded: in lower case.
    """
    like = folded.is_in(list(MISSING_TEXTS)) | texts.str.starts_with("0")
    likely = texts.filter(like).unique().drop_nulls().to_list() if like.any() else []
    words = sorted(text for text in likely if text.casefold() in MISSING_TEXTS or ZERO_DATE.fullmatch(text))
    if not words:
        return ()
    rest = texts.filter(~folded.is_in([*FOLDED, *(word.casefold() for word in words), ""])).unique()
    return tuple(words) if len(rest) > 1 and share(rest) > 0.5 else ()


def share(texts: pl.Series) -> float:
    """Return the share of texts that begin like numbers and dates."""
    return float(texts.str.contains(NUMERIC).sum()) / max(1, len(texts))


FOLDED = frozenset(word.casefold() for word in NULLS)
"""The usual words for missing, in lower case."""
