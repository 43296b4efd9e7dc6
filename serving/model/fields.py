"""One input of the signature: converts a JSON value to the model's number.

JSON values are the same for every model. Texts are read as the cells of the file that the model was trained on, if the
signature describes them (``serving.model.texts``); otherwise as numbers with a decimal point, English words for true
and false, listed categories and ISO 8601 dates.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from serving.model.dates import TEXT_MAX, days
from serving.model.numbers import NUMBER
from serving.model.texts import Text, Texts, fold, trim
from serving.problems import Refused, shown

FLOAT32_MAX = 3.4028234663852886e38
INT64 = 2**63 - 1024  # the largest number below 2**63 that a float has
INTEGER = r"[+-]?[0-9]+(\.0*)?"
TRUE = ("true", "yes", "y", "t", "on", "1")
FALSE = ("false", "no", "n", "f", "off", "0")
_NUMBER, _INTEGER = (re.compile(p, re.ASCII) for p in (NUMBER, INTEGER))
_BOOLEAN = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)

Limits = tuple[float | None, float | None]
Coerce = Callable[[Any], float]
"""JSON value → the model's number, NaN for a missing value; raises ``Refused``."""


@dataclass(frozen=True)
class Field:
    """One column of the model's input.

    Attributes:
        name: the JSON key.
        type: number, integer, boolean, category or date.
        nullable: may be missing or null; the model then gets NaN.
        low, high: the allowed range in the input's unit (days since 1970-01-01 for dates); None: unlimited.
        raw: the signature's entry, with ``seen``, ``example`` and ``description`` for the form.
        texts: how texts are read; None in signatures of older releases.
        coerce: in the order and encoding of the ONNX input.
        expected: description of the accepted values.
        origin: subtracted from a number or a date in double, since float32 cannot tell the input's values apart.
    """

    name: str
    type: str
    nullable: bool
    low: float | None
    high: float | None
    raw: dict[str, Any]
    texts: Texts | None
    coerce: Coerce
    expected: str
    origin: float = 0.0

    @classmethod
    def read(cls, raw: dict[str, Any], common: Any = None) -> "Field":
        """Create the field of one entry of ``signature["inputs"]``.

        Args:
            common: ``text`` of the signature; None if it has none.

        Raises:
            ValueError: this version cannot serve the entry.
        """
        kind = raw["type"]
        if kind not in ("number", "integer", "boolean", "category", "date"):
            raise ValueError(f"input {raw['name']!r} has the unknown type {kind!r}")
        try:
            texts = Texts.read(common, raw.get("text"))
        except ValueError as error:
            raise ValueError(f"input {raw['name']!r}: {error}") from None
        bound = days if kind == "date" else float
        low, high = (None if raw.get(side) is None else bound(raw[side]) for side in ("min", "max"))
        if texts and kind == "date" and not texts.time:
            low, high = (None if side is None else float(math.floor(side)) for side in (low, high))
        expected, nullable = describe(raw, texts), bool(raw.get("nullable"))
        if texts is None:
            coerce = _coerce(raw, (low, high), expected)
        else:
            coerce = _coerce_as_file(raw, (low, high), expected, texts, nullable)
        origin = float(raw.get("origin", 0.0))
        if origin:
            coerce = from_origin(coerce, origin)
        return cls(raw["name"], kind, nullable, low, high, raw, texts, coerce, expected, origin)


def from_origin(coerce: Coerce, origin: float) -> Coerce:
    """Return a conversion that also subtracts the origin."""
    return lambda value: coerce(value) - origin


def _coerce(raw: dict[str, Any], limits: Limits, expected: str) -> Coerce:
    """Return the conversion for a signature that does not describe texts."""
    kind = raw["type"]
    if kind in ("number", "integer"):
        integer = kind == "integer"
        return number(integer, bounds(integer, limits), expected, plain_number(integer, expected))
    if kind == "boolean":
        return boolean(expected, plain_boolean(expected), accepted=(0, 1))
    if kind == "date":
        return moment(limits, expected, iso_date(expected))
    names = [str(c) for c in raw["categories"]]
    return category(names, expected, unlisted(names, takes_others(raw), expected))


def _coerce_as_file(raw: dict[str, Any], limits: Limits, expected: str, texts: Texts, nullable: bool) -> Coerce:
    """Return the conversion that reads texts as the cells of the training data were read."""
    kind = raw["type"]

    def absent() -> float:
        if not nullable:
            raise Refused(f"{expected}, not a text for a missing value")
        return math.nan

    if kind in ("number", "integer"):
        text = partial(texts.as_number, absent=absent, expected=expected)
        coerce = number(kind == "integer", bounds(kind == "integer", limits, texts), expected, text)
        return with_codes(coerce, texts.codes, absent) if texts.codes else coerce
    if kind == "boolean":
        return boolean(expected, partial(texts.as_boolean, absent=absent, expected=expected))
    if kind == "date":
        return moment(limits, expected, partial(texts.as_date, absent=absent, expected=expected))
    names = [str(c) for c in raw["categories"]]
    otherwise = unlisted(names, takes_others(raw), expected)
    return category(names, expected, other_spelling(names, texts, absent, otherwise), every_value=True)


def takes_others(raw: dict[str, Any]) -> bool:
    """Return whether a category accepts texts that are not listed; they count as missing."""
    return raw.get("unknown", "refuse") in ("warn", "other")


def describe(raw: dict[str, Any], texts: Texts | None = None) -> str:
    """Describe the values that an input accepts, for errors and for the form."""
    kind, low, high = raw["type"], raw.get("min"), raw.get("max")
    if kind == "category":
        names = [f'"{c}"' for c in raw["categories"]]
        if takes_others(raw):
            return "a text"
        return f"one of {', '.join(names)}" if len(names) <= 12 else f"one of {len(names)} known categories"
    special = texts.shown(kind) if texts else []
    base = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "date": f"a date as {special[0]} or YYYY-MM-DD" if special else "a date as YYYY-MM-DD",
    }[kind]
    if special and kind != "date":
        base += f" (or as in {', '.join(map(shown, special))})"
    if low is not None and high is not None:
        return f"{base} from {low} to {high}"
    if low is not None:
        return f"{base}, {low} or {'later' if kind == 'date' else 'more'}"
    if high is not None:
        return f"{base}, {high} or {'earlier' if kind == 'date' else 'less'}"
    return base


def bounds(integer: bool, limits: Limits, texts: Texts | None = None) -> tuple[float, float]:
    """Return the smallest and largest number that is accepted: training has 64 bits for integers, models 32."""
    low, high = limits
    most = INT64 if integer and texts else FLOAT32_MAX
    return -most if low is None else max(low, -most), most if high is None else min(high, most)


def number(integer: bool, limits: tuple[float, float], expected: str, text: Text) -> Coerce:
    least, most = limits

    def coerce(value: Any) -> float:
        kind = type(value)
        if kind is int:
            if not least <= value <= most:  # ints of any size compare exactly; float() of them could overflow
                raise Refused(expected)
            return float(value)
        if kind is str:
            value = text(value)
            if math.isnan(value):
                return math.nan
        elif kind is not float:
            raise Refused(expected)
        if not least <= value <= most or (integer and not value.is_integer()):  # NaN fails both comparisons
            raise Refused(expected)
        return float(value)

    return coerce


def with_codes(coerce: Coerce, codes: frozenset[float], absent: Callable[[], float]) -> Coerce:
    """Take numbers such as -999 as missing."""

    def with_codes(value: Any) -> float:
        if type(value) in (int, float) and value in codes:
            return absent()
        return coerce(value)

    return with_codes


def plain_number(integer: bool, expected: str) -> Text:
    pattern = _INTEGER if integer else _NUMBER

    def read(text: str) -> float:
        if len(text) > TEXT_MAX or not pattern.fullmatch(text):
            raise Refused(expected)
        return float(text)

    return read


def boolean(expected: str, text: Text, accepted: tuple[float, ...] | None = None) -> Coerce:
    """Convert a boolean.

    Args:
        accepted: numbers that are accepted as they are; None: those whose text is.
    """

    def coerce(value: Any) -> float:
        if value is True or value is False:
            return float(value)
        if type(value) is str:
            return text(value)
        if type(value) in (int, float):
            if accepted is None:
                return text(_as_text(value, expected))
            if value in accepted:
                return float(value)
        raise Refused(expected)

    return coerce


def plain_boolean(expected: str) -> Text:
    def read(text: str) -> float:
        value = _BOOLEAN.get(text.lower()) if len(text) <= TEXT_MAX else None
        if value is None:
            raise Refused(expected)
        return value

    return read


def _as_text(value: Any, expected: str) -> str:
    """Return a JSON number as text: 3.0 is the integer 3, because JSON has one type of numbers."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and abs(value) < 10**TEXT_MAX:
        return str(value)
    raise Refused(expected)


def category(categories: Sequence[str], expected: str, otherwise: Text, every_value: bool = False) -> Coerce:
    """Convert a category to its position.

    Args:
        otherwise: for a text that is not listed.
        every_value: accept fractions, true and false as text, too.
    """
    positions = {name: float(i) for i, name in enumerate(categories)}

    def coerce(value: Any) -> float:
        kind = type(value)
        if kind is not str:
            if every_value and kind is bool:
                value = "true" if value else "false"
            elif every_value and kind is float and not value.is_integer():
                value = repr(value)
            else:
                value = _as_text(value, expected)  # "pclass": 3 means the category "3"
        position = positions.get(value)
        return otherwise(value) if position is None else position

    return coerce


def unlisted(categories: Sequence[str], other: bool, expected: str) -> Text:
    """Return what to do with a text that is not listed: it is missing, or refused with the nearest category."""

    def read(text: str) -> float:
        if other:
            return math.nan
        near = difflib.get_close_matches(text[:TEXT_MAX], categories[:5000], n=1) if len(categories) > 12 else []
        raise Refused(f'{expected}; did you mean "{near[0]}"?' if near else expected)

    return read


def other_spelling(categories: Sequence[str], texts: Texts, absent: Callable[[], float], otherwise: Text) -> Text:
    """Return the reader of a text that is not listed as it is, but possibly with other blanks or in another case."""
    positions: dict[str, float] = {name: float(i) for i, name in enumerate(categories)}
    folded = Counter(map(fold, categories))
    spellings = {fold(name): float(i) for i, name in enumerate(categories) if folded[fold(name)] == 1}

    def read(text: str) -> float:
        bare = trim(text)
        position = positions.get(bare)
        if position is None:
            position = spellings.get(bare.lower())
        if position is not None:
            return position
        return absent() if texts.is_missing(bare) else otherwise(text)

    return read


def moment(limits: Limits, expected: str, text: Text) -> Coerce:
    low, high = limits

    def coerce(value: Any) -> float:
        if type(value) is not str:
            raise Refused(expected)
        day = text(value)
        if (low is not None and day < low) or (high is not None and day > high):  # both false for NaN
            raise Refused(expected)
        return day

    return coerce


def iso_date(expected: str) -> Text:
    def read(text: str) -> float:
        try:
            return days(text)
        except ValueError:
            raise Refused(expected) from None

    return read
