"""One input of the signature: how a JSON value becomes the number that the model takes."""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from serving.problems import Refused

FLOAT32_MAX = 3.4028234663852886e38
TEXT_MAX = 64  # characters: no number, boolean or date is longer
EPOCH = date(1970, 1, 1).toordinal()
NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
INTEGER = r"[+-]?[0-9]+(\.0*)?"
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = DAY + r"[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
TRUE = ("true", "yes", "y", "t", "on", "1")
FALSE = ("false", "no", "n", "f", "off", "0")
_NUMBER, _INTEGER, _DAY, _MOMENT = (re.compile(p, re.ASCII) for p in (NUMBER, INTEGER, DAY, MOMENT))
_BOOLEAN = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)


@dataclass(frozen=True)
class Field:
    """One column of the model's input.

    Attributes:
        name: the JSON key.
        type: number, integer, boolean, category or date.
        nullable: may be absent or null; the model then sees NaN.
        low, high: the range of the contract, in the input's own unit (days since 1970-01-01 for dates); None is open.
        raw: the signature's own entry, with ``seen``, ``example`` and ``description`` for the form.
        coerce: JSON value → float, in the order and encoding of the ONNX input; raises ``Refused``.
        expected: what it takes, in words.
    """

    name: str
    type: str
    nullable: bool
    low: float | None
    high: float | None
    raw: dict[str, Any]
    coerce: Callable[[Any], float]
    expected: str

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Field":
        """The field of one entry of ``signature["inputs"]``.

        Raises:
            ValueError: the entry is none that this version can serve.
        """
        kind = raw["type"]
        if kind not in ("number", "integer", "boolean", "category", "date"):
            raise ValueError(f"input {raw['name']!r} has the unknown type {kind!r}")
        bound = days if kind == "date" else float
        low, high = (None if raw.get(side) is None else bound(raw[side]) for side in ("min", "max"))
        expected = words(raw)
        if kind in ("number", "integer"):
            coerce = number(kind == "integer", low, high, expected)
        elif kind == "boolean":
            coerce = boolean(expected)
        elif kind == "date":
            coerce = moment(low, high, expected)
        else:
            coerce = category([str(c) for c in raw["categories"]], raw.get("unknown", "refuse") == "other", expected)
        return cls(raw["name"], kind, bool(raw.get("nullable")), low, high, raw, coerce, expected)


def words(raw: dict[str, Any]) -> str:
    """What an input takes, in words a person reads in an error or beside the form's field."""
    kind, low, high = raw["type"], raw.get("min"), raw.get("max")
    if kind == "category":
        names = [f'"{c}"' for c in raw["categories"]]
        if raw.get("unknown", "refuse") == "other":
            return "a text"
        return f"one of {', '.join(names)}" if len(names) <= 12 else f"one of {len(names)} known categories"
    base = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "date": "a date as YYYY-MM-DD",
    }[kind]
    if low is not None and high is not None:
        return f"{base} from {low} to {high}"
    if low is not None:
        return f"{base}, {low} or {'later' if kind == 'date' else 'more'}"
    if high is not None:
        return f"{base}, {high} or {'earlier' if kind == 'date' else 'less'}"
    return base


def number(whole: bool, low: float | None, high: float | None, expected: str) -> Callable[[Any], float]:
    pattern = _INTEGER if whole else _NUMBER
    least = -FLOAT32_MAX if low is None else max(low, -FLOAT32_MAX)
    most = FLOAT32_MAX if high is None else min(high, FLOAT32_MAX)

    def coerce(value: Any) -> float:
        kind = type(value)
        if kind is int:
            if not least <= value <= most:  # ints of any size compare exactly; float() of them could overflow
                raise Refused(expected)
            return float(value)
        if kind is str:
            if len(value) > TEXT_MAX or not pattern.fullmatch(value):
                raise Refused(expected)
            value = float(value)
        elif kind is not float:
            raise Refused(expected)
        if not least <= value <= most or (whole and not value.is_integer()):  # NaN fails both comparisons
            raise Refused(expected)
        return float(value)

    return coerce


def boolean(expected: str) -> Callable[[Any], float]:
    def coerce(value: Any) -> float:
        if value is True or value is False:
            return float(value)
        if type(value) is str and len(value) <= TEXT_MAX:
            found = _BOOLEAN.get(value.lower())
            if found is not None:
                return found
        elif type(value) in (int, float) and value in (0, 1):
            return float(value)
        raise Refused(expected)

    return coerce


def category(categories: list[str], other: bool, expected: str) -> Callable[[Any], float]:
    positions = {name: float(i) for i, name in enumerate(categories)}

    def coerce(value: Any) -> float:
        if type(value) is float and value.is_integer():
            value = int(value)  # JSON has one kind of number: 3.0 is the whole number 3
        if type(value) is int and abs(value) < 10**TEXT_MAX:
            value = str(value)  # "pclass": 3 means the category "3"
        if type(value) is not str:
            raise Refused(expected)
        found = positions.get(value)
        if found is not None:
            return found
        if other:
            return math.nan
        near = difflib.get_close_matches(value[:TEXT_MAX], categories[:5000], n=1) if len(categories) > 12 else []
        raise Refused(f'{expected}; did you mean "{near[0]}"?' if near else expected)

    return coerce


def days(text: str) -> float:
    """Days since 1970-01-01 (with their fraction) of an ISO 8601 date, or date and time; UTC where no offset is given.

    Raises:
        ValueError: it is none, or no such day exists.
    """
    if len(text) > TEXT_MAX:
        raise ValueError(text[:TEXT_MAX])
    if _DAY.fullmatch(text):
        return float(date.fromisoformat(text).toordinal() - EPOCH)
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    when = datetime.fromisoformat(text.upper())
    offset = when.utcoffset()
    # Not by astimezone(): the first and last day of the calendar have no other time zone to go to.
    seconds = when.hour * 3600 + when.minute * 60 + when.second + when.microsecond / 1e6
    seconds -= offset.total_seconds() if offset else 0.0
    return when.toordinal() - EPOCH + seconds / 86400


def moment(low: float | None, high: float | None, expected: str) -> Callable[[Any], float]:
    def coerce(value: Any) -> float:
        if type(value) is not str:
            raise Refused(expected)
        try:
            day = days(value)
        except ValueError:
            raise Refused(expected) from None
        if (low is not None and day < low) or (high is not None and day > high):
            raise Refused(expected)
        return day

    return coerce
