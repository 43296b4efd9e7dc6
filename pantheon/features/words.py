"""What the catalogue says about features, as words for people: on the page, in answers and in the terminal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pantheon import durations

LONG: Final = 80  # characters of a value
TWO_DAYS: Final = 2 * 86400.0
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+\+00:00")


def expectations(field: dict[str, Any]) -> str:
    """Return what is expected of a field, such as ``0 to 20, never missing``; empty: nothing."""
    low, high, missing = field["minimum"], field["maximum"], field["max_missing"]
    least, most = (bound(each, field["type"]) for each in (low, high))
    parts = []
    if low is not None and high is not None:
        parts.append(f"{least} to {most}")
    elif low is not None:
        parts.append(f"at least {least}")
    elif high is not None:
        parts.append(f"at most {most}")
    if missing is not None:
        parts.append(f"at most {percent(missing)} missing" if missing else "never missing")
    return ", ".join(parts)


def check(given: dict[str, Any], type: str) -> str:
    """Return what was found and what was expected, such as ``12 % missing, at most 5 %``.

    Args:
        given: a ``contract.Check``.
        type: of the field.
    """
    found, expected = given["value"], given["expected"]
    if given["check"] == "max_missing":
        return f"{percent(found) if found is not None else 'some'} missing, at most {percent(expected)}"
    if given["check"] == "freshness":
        return f"the newest value was {age(found or 0)} old, at most {age(expected)}"
    direction = "least" if given["check"] == "minimum" else "most"
    seen = f"{given['check']} {bound(found, type)}" if found is not None else f"{given['check']} no longer known"
    return f"{seen}, at {direction} {bound(expected, type)}"


def bound(value: float | None, type: str) -> str:
    """Return a bound of a range; those of dates are in seconds since 1970."""
    if value is None:
        return ""
    if type == "date":
        return text((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)).isoformat())
    return f"{value:,.6g}"


def percent(share: float) -> str:
    """Return a share as a percentage that is 0 or 100 only if the share is."""
    shown = f"{100 * share:.1f}".removesuffix(".0")
    if shown == "0" and share > 0:
        return "< 0.1 %"
    return "> 99.9 %" if shown == "100" and share < 1 else f"{shown} %"


def age(seconds: float) -> str:
    """Return a duration; from two days on in days."""
    return f"{seconds / 86400:,.3g} days" if seconds >= TWO_DAYS else durations.words(seconds)


def text(value: Any) -> str:
    """Return a feature's value."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    shown = str(value)
    if _MOMENT.fullmatch(shown):
        return shown.removesuffix("+00:00").removesuffix("T00:00:00").replace("T", " ")
    return shown if len(shown) <= LONG else f"{shown[:LONG]}…"
