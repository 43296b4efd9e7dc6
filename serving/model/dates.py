"""Parse dates as days since 1970-01-01: in ISO 8601, and in the formats of the file that a model was trained on.

A format has the codes of strftime. It is parsed as chrono parses it, because training reads files with Polars, which
uses chrono: a number may have fewer digits than usual, blanks before a number and in a format are optional, and names
of months and weekdays are English, in any case.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

TEXT_MAX = 64  # characters of a date
FORMAT_MAX = 64  # characters of a format
EPOCH = date(1970, 1, 1).toordinal()
FIRST, LAST = (date(*day).toordinal() - EPOCH for day in ((1000, 1, 1), (9999, 12, 31)))  # others are typing errors
DAY_MS = 86_400_000
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = DAY + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
_DAY, _MOMENT = (re.compile(pattern, re.ASCII) for pattern in (DAY, MOMENT))

BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode's white space, which Polars strips; ``str.strip`` also strips some control characters."""
CLOCK = ("%H", "%I", "%T", "%R", "%+")
"""Codes of a time of day: a format with one of them is for dates with a time."""
SHORT = {"F": "%Y-%m-%d", "D": "%m/%d/%y", "T": "%H:%M:%S", "R": "%H:%M"}
NUMBERS = {
    "Y": ("year", 4), "y": ("short", 2), "m": ("month", 2), "d": ("day", 2), "e": ("day", 2), "j": ("ordinal", 3),
    "H": ("hour", 2), "I": ("twelve", 2), "M": ("minute", 2), "S": ("second", 2), "f": ("nanosecond", 9),
}  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CODE = re.compile(r"%(\.[369]?f|[369]f|[:#]z|[-_0]?[A-Za-z]|[+%])|\s+", re.DOTALL)

Found = dict[str, int]
Step = Callable[[str, int, Found], int]
"""Parse ``text`` from a position, record what was found, and return the next position; ``ValueError`` if it differs."""


def days(text: str) -> float:
    """Return the days since 1970-01-01, with fraction, of an ISO 8601 date or date and time; UTC if it has no offset.

    Raises:
        ValueError: it is not a valid date.
    """
    if len(text) > TEXT_MAX:
        raise ValueError(text[:TEXT_MAX])
    if _DAY.fullmatch(text):
        return float(date.fromisoformat(text).toordinal() - EPOCH)
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    when = datetime.fromisoformat(text)
    offset = when.utcoffset()
    # Not with astimezone(): it cannot convert the first and last day of the calendar.
    seconds = when.hour * 3600 + when.minute * 60 + when.second
    milliseconds = seconds * 1000 + when.microsecond // 1000  # as in training, so that the same text is the same number
    if offset:
        milliseconds -= round(offset.total_seconds() * 1000)
    return ((when.toordinal() - EPOCH) * DAY_MS + milliseconds) / DAY_MS


@dataclass(frozen=True)
class Format:
    """One format of dates.

    Attributes:
        text: as for strftime, such as "%d.%m.%Y".
        clock: whether it has a time of day.
    """

    text: str
    steps: tuple[Step, ...]
    clock: bool

    @classmethod
    def read(cls, text: str) -> "Format":
        """Compile a format.

        Raises:
            ValueError: it has a code that is not supported.
        """
        if len(text) > FORMAT_MAX:
            raise ValueError(f"the date format {text[:FORMAT_MAX]!r}… is too long")
        return cls(text, tuple(_steps(text)), any(code in text for code in CLOCK))

    def days(self, text: str) -> float:
        """Return the days since 1970-01-01 in UTC, with a fraction to the millisecond.

        Raises:
            ValueError: the text is not a date in this format.
        """
        if len(text) > TEXT_MAX:
            raise ValueError(text[:TEXT_MAX])
        found: Found = {}
        at = 0
        for step in self.steps:
            at = step(text, at, found)
        if at != len(text):
            raise ValueError(text)
        moment = (_day(found) - EPOCH) * DAY_MS + (_milliseconds(found) if self.clock else 0)
        if not FIRST * DAY_MS <= moment < (LAST + 1) * DAY_MS:
            raise ValueError(text)
        return moment / DAY_MS


def written(format_: str, day: float) -> str:
    """Write a date, days since 1970-01-01, in a format: an example for people."""
    when = datetime.fromordinal(EPOCH) + timedelta(days=day)
    plain = CODE.sub(lambda match: _python(match.group()), format_)
    return when.strftime(plain)


def _python(code: str) -> str:
    """Return Python's code for a code of chrono."""
    if code.endswith("f") or code.endswith("z"):
        return ""
    short = SHORT.get(code[-1]) if code.startswith("%") else None
    return CODE.sub(lambda match: _python(match.group()), short) if short else code


def _steps(text: str) -> list[Step]:
    steps: list[Step] = []
    place = 0
    for match in CODE.finditer(text):
        if literal := text[place : match.start()]:
            steps.append(_literal(literal, text))
        place = match.end()
        if not (code := match.group(1)):
            steps.append(_skip)
        elif code == "+":
            steps += [*_steps(SHORT["F"]), _separator, *_steps(SHORT["T"] + "%.f%#z")]
        elif code in SHORT:
            steps += _steps(SHORT[code])
        else:
            steps.append(_step(code, text))
    if literal := text[place:]:
        steps.append(_literal(literal, text))
    return steps


def _step(code: str, text: str) -> Step:
    letter = code[-1]
    if code in ("n", "t"):
        return _skip
    if code == "%":
        return _literal("%", "")
    if code in (".f", ".3f", ".6f", ".9f"):
        return _fraction
    if code in ("3f", "6f", "9f"):
        return _digits(int(code[0]))
    if code in ("z", ":z", "#z"):
        return _zone(code == "#z")
    if letter in NUMBERS and (len(code) == 1 or code[0] in "-_0"):
        return _number(*NUMBERS[letter])
    if code in ("b", "h", "B"):
        return _name("month", MONTHS, 1, long=code == "B")
    if code in ("a", "A"):
        return _name("weekday", WEEKDAYS, 0, long=code == "A")
    if code in ("p", "P"):
        return _half
    if code == "Z":
        return _zone_name
    raise ValueError(f"the date format {text!r} has %{code}, which is not supported")


def _literal(literal: str, form: str) -> Step:
    if "%" in literal and form:
        raise ValueError(f"the date format {form!r} has a % that is not a code")

    def step(text: str, at: int, found: Found) -> int:
        if not text.startswith(literal, at):
            raise ValueError(text)
        return at + len(literal)

    return step


def _separator(text: str, at: int, found: Found) -> int:
    if text[at : at + 1] not in ("T", "t", " "):
        raise ValueError(text)
    return at + 1


def _skip(text: str, at: int, found: Found | None = None) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _scan(text: str, at: int, most: int) -> int:
    """Return the end of the digits from ``at``: one or more, at most ``most``."""
    end = at
    while end < len(text) and end - at < most and "0" <= text[end] <= "9":
        end += 1
    if end == at:
        raise ValueError(text)
    return end


def _number(name: str, width: int) -> Step:
    def step(text: str, at: int, found: Found) -> int:
        at = _skip(text, at)
        sign = text[at : at + 1] if name == "year" else ""
        if sign in ("+", "-") and sign:
            end = _scan(text, at + 1, TEXT_MAX)
            value = int(text[at:end])
        else:
            end = _scan(text, at, width)
            value = int(text[at:end])
        _keep(found, name, value, text)
        return end

    return step


def _keep(found: Found, name: str, value: int, text: str) -> None:
    if found.setdefault(name, value) != value:
        raise ValueError(text)


def _name(name: str, names: tuple[str, ...], first: int, long: bool) -> Step:
    def step(text: str, at: int, found: Found) -> int:
        lower = text[at : at + 9].lower()
        for place, full in enumerate(names):
            if lower.startswith(full[:3]):
                _keep(found, name, place + first, text)
                return at + (len(full) if long and lower.startswith(full) else 3)
        raise ValueError(text)

    return step


def _half(text: str, at: int, found: Found) -> int:
    half = text[at : at + 2].lower()
    if half not in ("am", "pm"):
        raise ValueError(text)
    _keep(found, "half", half == "pm", text)
    return at + 2


def _fraction(text: str, at: int, found: Found) -> int:
    if text[at : at + 1] != ".":
        return at
    end = _scan(text, at + 1, TEXT_MAX)
    found["nanosecond"] = int(text[at + 1 : end][:9].ljust(9, "0"))
    return end


def _digits(count: int) -> Step:
    def step(text: str, at: int, found: Found) -> int:
        end = _scan(text, at, count)
        if end - at != count:
            raise ValueError(text)
        found["nanosecond"] = int(text[at:end].ljust(9, "0"))
        return end

    return step


def _zone(permissive: bool) -> Step:
    """Parse an offset such as +01:00; the permissive one may be Z, or without minutes."""

    def step(text: str, at: int, found: Found) -> int:
        at = _skip(text, at)
        sign = text[at : at + 1]
        if permissive and sign in ("Z", "z"):
            found["offset"] = 0
            return at + 1
        if not sign or sign not in "+-\u2212":
            raise ValueError(text)
        hours, at = _two(text, at + 1), at + 3
        while at < len(text) and (text[at] == ":" or text[at] in BLANKS):
            at += 1
        minutes = 0
        if not permissive or at < len(text):
            minutes, at = _two(text, at), at + 2
        if hours > 23 or minutes > 59:
            raise ValueError(text)
        found["offset"] = (hours * 60 + minutes) * (60 if sign == "+" else -60)
        return at

    return step


def _two(text: str, at: int) -> int:
    if _scan(text, at, 2) != at + 2:
        raise ValueError(text)
    return int(text[at : at + 2])


def _zone_name(text: str, at: int, found: Found) -> int:
    """Skip the name of a time zone: chrono does not interpret it."""
    while at < len(text) and text[at] not in BLANKS:
        at += 1
    return at


def _day(found: Found) -> int:
    """Return the ordinal of the day."""
    year, short = found.get("year"), found.get("short")
    if year is None:
        if short is None:
            raise ValueError("no year")
        year = short + (2000 if short < 70 else 1900)
    elif short is not None and year % 100 != short:
        raise ValueError("two years")
    if "ordinal" in found:
        day = date(int(year), 1, 1) + timedelta(days=found["ordinal"] - 1)
        fits = found["ordinal"] >= 1 and day.year == year
        fits = fits and found.get("month", day.month) == day.month and found.get("day", day.day) == day.day
    else:
        day = date(int(year), int(found.get("month", 1)), int(found.get("day", 1)))
        fits = True
    if not fits or found.get("weekday", day.weekday()) != day.weekday():
        raise ValueError("not a day")
    return day.toordinal()


def _milliseconds(found: Found) -> int:
    """Return the milliseconds since midnight, in UTC."""
    hour = found.get("hour")
    if "twelve" in found:
        if not 1 <= found["twelve"] <= 12 or "half" not in found:
            raise ValueError("not an hour")
        hour = found["twelve"] % 12 + 12 * found["half"]
    minute, second = found.get("minute"), found.get("second", 0)
    if hour is None or minute is None or hour > 23 or minute > 59 or second > 60:  # 60: a leap second
        raise ValueError("not a time")
    seconds = hour * 3600 + minute * 60 + second - found.get("offset", 0)
    return seconds * 1000 + found.get("nanosecond", 0) // 1_000_000
