"""Parse numbers as people write them: 1,234.5 · 1.234,50 € · 34.1 % · (12) · <0.5. The signature has what is accepted.

It follows ``number_forms`` of the workflow, which cleans the training data: the same text is the same number.
"""

import re
from collections.abc import Callable, Mapping

from serving.model.dates import BLANKS

FORMS = ("parentheses", "minus behind", "limits")
NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A number with a decimal point, without separators."""
THIN = "[ \u00a0\u202f\u2009]"
_NUMBER = re.compile(NUMBER, re.ASCII)
_MINUS = re.compile("[\u2212\u2013\ufe63\uff0d]")
_LIMIT = "<=|>=|[<>\u2264\u2265]"
_DIGITS = r"(?:\d(?:[\d.,'\u2019 \u00a0\u202f\u2009]*\d)?[.,]?|[.,]\d+)(?:[eE][+-]?\d+)?"
_GAP = f"[{re.escape(BLANKS)}]*+"  # possessive: no other part begins with a blank

Read = Callable[[str], float | None]


def reader(decimal: str, thousands: str, units: Mapping[str, float], forms: frozenset[str]) -> Read:
    """Return a function that parses a trimmed text as a number; None if it is not one.

    Args:
        decimal, thousands: the marks; ``thousands`` may be empty. A blank stands for any kind of blank.
        units: texts that may stand before or after the number, with their factors.
        forms: a selection of ``FORMS``: (5) is -5; 5- is -5; <5, >5, ≤5, ≥5 and 5+ are 5.
    """
    unit = "|".join(re.escape(text) for text in sorted(units, key=len, reverse=True)) or r"[^\s\S]"
    parts = (
        rf"(?P<open>\()?{_GAP}(?P<limit>{_LIMIT})?{_GAP}(?P<sign>[+-])?{_GAP}(?P<before>{unit})?{_GAP}(?P<inner>\()?"
        rf"{_GAP}(?P<sign2>[+-])?{_GAP}(?P<number>{_DIGITS}){_GAP}(?P<after>{unit})?{_GAP}(?P<minus>-)?{_GAP}"
        rf"(?P<close>\))?{_GAP}(?P<after2>{unit})?(?P<plus>\+)?"
    )
    split = re.compile(parts).fullmatch
    unsigned = _unsigned(decimal, thousands)

    def read(text: str) -> float | None:
        match = split(_MINUS.sub("-", text, count=1))
        if match is None:
            return None
        part = match.groupdict()
        opened = bool(part["open"]) + bool(part["inner"])
        signs = sum(part[name] is not None for name in ("sign", "sign2", "minus", "open", "inner"))
        proper = opened == bool(part["close"]) and signs <= 1 and not (part["after"] and part["after2"])
        used = {"parentheses": part["close"], "minus behind": part["minus"], "limits": part["limit"] or part["plus"]}
        if not proper or any(found and form not in forms for form, found in used.items()):
            return None
        plain = unsigned(part["number"])
        if plain is None or not _NUMBER.fullmatch(plain):
            return None
        negative = "-" in (part["sign"], part["sign2"]) or part["minus"] or part["close"]
        factor = 1.0
        for place in ("before", "after", "after2"):
            factor *= units[part[place]] if part[place] else 1.0
        return float(f"-{plain}" if negative else plain) * factor

    return read


def _unsigned(decimal: str, thousands: str) -> Callable[[str], str | None]:
    """Return a function that writes digits as Python does, without thousands separators; None if one is misplaced.

    Groups have three digits, the first one to three and no 0 in front; with commas, they may also be Indian.
    """
    mark = THIN if thousands.isspace() else re.escape(thousands).replace("'", "['\u2019]")
    groups = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
    if thousands == ",":
        groups = rf"(?:{groups}|[1-9]\d?(?:,\d\d)+,\d{{3}})"
    any_mark = re.compile(mark)
    grouped = re.compile(rf"{groups}(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?").fullmatch

    def unsigned(text: str) -> str | None:
        if thousands and any_mark.search(text):
            if not grouped(text):
                return None
            text = any_mark.sub("", text)
        if decimal == ",":
            if "." in text:
                return None
            text = text.replace(",", ".", 1)
        return text

    return unsigned
