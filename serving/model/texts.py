"""How the texts of one input are read: the same way as the cells of the file that the model was trained on.

The signature has this as data, so that serving needs nothing of the workflow: ``text`` of the signature holds for all
inputs; ``text`` of an input replaces its entries, and adds to ``missing``. Signatures of older releases have neither:
then texts are read as ``serving.model.fields`` describes.

    "text": {"version": 1, "missing": ["na", "-"], "decimal": ",", "thousands": "."}
    "inputs": [{"name": "paid", "type": "boolean", "text": {"true": ["ja"], "false": ["nein"]}},
               {"name": "born", "type": "date", "text": {"formats": ["%d.%m.%Y", "%Y-%m-%d"], "time": false}},
               {"name": "price", "type": "number", "text": {"units": {"€": 1}, "forms": ["parentheses"]}}]
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from serving.model import numbers
from serving.model.dates import BLANKS, EPOCH, FIRST, TEXT_MAX, Format, days, written
from serving.problems import Refused

VERSION = 1
KEYS = ("version", "missing", "decimal", "thousands", "units", "forms", "true", "false", "formats", "time")
MOST, LONGEST = 1_000, 200  # texts in a list, characters of a text
SHOWN = date(2024, 12, 31).toordinal() - EPOCH + 0.40625  # 09:45: the date in messages
USUAL = frozenset(("true", "false", "yes", "no", "y", "n", "t", "f", "on", "off", "1", "0"))
_NUMBER = re.compile(numbers.NUMBER, re.ASCII)

Text = Callable[[str], float]
"""Text → the model's number, NaN for a missing value; raises ``Refused``."""


@dataclass(frozen=True)
class Texts:
    """What an input accepts as text, besides JSON values.

    Attributes:
        missing: folded texts that mean "missing"; always with "".
        number: parses a trimmed text as a number.
        codes: numbers that mean "missing", such as -999.
        words: the value of every folded text of a boolean.
        formats: of dates, in the order in which they are tried.
        time: whether the time of day counts; otherwise a date with a time is its day.
        decimal, thousands, units: see ``numbers.reader``; to write examples.
    """

    missing: frozenset[str]
    number: numbers.Read
    codes: frozenset[float]
    words: Mapping[str, float]
    formats: tuple[Format, ...]
    time: bool
    decimal: str
    thousands: str
    units: Mapping[str, float]

    @classmethod
    def read(cls, common: Any, own: Any) -> "Texts | None":
        """Create it from ``text`` of a signature and of an input; None if the signature has none.

        Raises:
            ValueError: it is malformed, or needs a newer version.
        """
        if common is None:
            return None
        own = {} if own is None else own
        for part in (common, own):
            if not isinstance(part, dict):
                raise ValueError("text is not an object")
            if unknown := sorted(set(part) - set(KEYS)):
                raise ValueError(f"text has the unknown key {unknown[0][:80]!r}")
        both = common | own
        if common.get("version") != VERSION or both["version"] != VERSION:
            raise ValueError(f"text has version {both.get('version')!r}; this server reads version {VERSION}")
        decimal, thousands = both.get("decimal", "."), both.get("thousands", "")
        if decimal not in (".", ","):
            raise ValueError(f"text.decimal is {decimal!r}, not '.' or ','")
        if not isinstance(thousands, str) or len(thousands) > 1 or thousands == decimal or thousands.isalnum():
            raise ValueError(f"text.thousands is {thousands!r}, not one mark that differs from the decimal one")
        forms, units = frozenset(_list(both, "forms")), _units(both.get("units", {}))
        if unknown := sorted(forms - set(numbers.FORMS)):
            raise ValueError(f"text.forms has the unknown form {unknown[0]!r}")
        number = numbers.reader(decimal, thousands, units, forms)
        words = {fold(text): value for key, value in (("true", 1.0), ("false", 0.0)) for text in _list(both, key)}
        return cls(
            missing=frozenset({fold(text) for part in (common, own) for text in _list(part, "missing")} | {""}),
            number=number,
            codes=frozenset(code for text in _list(own, "missing") if (code := number(trim(text))) is not None),
            words=words,
            formats=tuple(Format.read(text) for text in _list(both, "formats")),
            time=both.get("time") is True,
            decimal=decimal,
            thousands=thousands,
            units=units,
        )

    def is_missing(self, text: str) -> bool:
        return fold(text) in self.missing

    def as_number(self, text: str, absent: Callable[[], float], expected: str) -> float:
        """Parse a number; ``absent`` is called for a text that means "missing"."""
        if self.decimal == "." and len(text) <= TEXT_MAX and _NUMBER.fullmatch(text):
            value: float | None = float(text)
            return absent() if value in self.codes else float(text)
        bare = _short(text, expected)
        value = self.number(bare)
        if value in self.codes or bare.lower() in self.missing:
            return absent()
        if value is None:
            raise Refused(expected)
        return value

    def as_boolean(self, text: str, absent: Callable[[], float], expected: str) -> float:
        folded = _short(text, expected).lower()
        if (value := self.words.get(folded)) is not None:
            return value
        if folded in self.missing:
            return absent()
        raise Refused(expected)

    def as_date(self, text: str, absent: Callable[[], float], expected: str) -> float:
        """Parse a date in one of the formats, or in ISO 8601, in days since 1970-01-01."""
        bare = _short(text, expected)
        if bare.lower() in self.missing:
            return absent()
        for read in (*(each.days for each in self.formats), days):
            try:
                day = read(bare)
            except ValueError:
                continue
            if day >= FIRST:
                return day if self.time else float(math.floor(day))
        raise Refused(expected)

    @property
    def takes_iso(self) -> bool:
        """Whether YYYY-MM-DD is that date, and not the first format's with month and day exchanged."""
        try:
            return self.as_date("2001-02-03", lambda: math.nan, "") == days("2001-02-03")
        except Refused:
            return False

    def shown(self, kind: str) -> list[str]:
        """Return examples of texts that are special to this file, for messages."""
        if kind == "date":
            return [written(each.text, SHOWN) for each in self.formats[:1] if not each.text.startswith("%Y-%m-%d")]
        if kind == "boolean":
            return [word for word in self.words if word not in USUAL][:6]
        if kind not in ("number", "integer"):
            return []
        unit = f" {next(iter(self.units))}" if self.units else ""
        fraction = f"{self.decimal}5" if kind == "number" else ""
        special = unit or self.thousands or (fraction and self.decimal == ",")
        return [f"1{self.thousands}234{fraction}{unit}"] if special else []

    def write(self, value: float) -> str:
        """Write a number with the decimal mark of the file, without thousands separators."""
        return f"{value:.7g}".replace(".", self.decimal)


def trim(text: str) -> str:
    return text.strip(BLANKS)


def fold(text: str) -> str:
    """Return the text without blanks around it, in lower case."""
    return text.strip(BLANKS).lower()


def _short(text: str, expected: str) -> str:
    """Return the trimmed text of a number, a boolean or a date; ``Refused`` if it is too long for one."""
    if len(text) > LONGEST or len(bare := text.strip(BLANKS)) > TEXT_MAX:
        raise Refused(expected)
    return bare


def _list(part: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of texts; [] if there is none. Raises ValueError if it is something else, or too long."""
    value = part.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) and len(text) <= LONGEST for text in value):
        raise ValueError(f"text.{key} is not a list of texts")
    if len(value) > MOST:
        raise ValueError(f"text.{key} has more than {MOST:,} texts")
    return value


def _units(value: Any) -> dict[str, float]:
    """Check ``units``: a factor by text."""
    if not isinstance(value, dict) or len(value) > MOST:
        raise ValueError("text.units is not an object of numbers")
    for unit, factor in value.items():
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool) and math.isfinite(factor)
        if not number or not factor or not unit or trim(unit) != unit or len(unit) > LONGEST:
            raise ValueError(f"text.units has {unit[:80]!r}, not a text without blanks around it, or no factor")
    return {unit: float(factor) for unit, factor in value.items()}
