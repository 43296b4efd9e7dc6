"""How the dashboard writes times, sizes and objects."""

import json
import re
from datetime import UTC, datetime
from typing import Any

PLAIN = re.compile(r"[A-Za-z/](?:[\w ./@,()+-]*[\w./)])?")  # text that YAML reads as text without quotes
DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d{6,}(e[+-]?\d+)?(?![\w.])")  # a number of many digits
WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
HEADINGS = {  # columns that kubectl writes without spaces
    "URL": "URL",
    "PREVROLLEDOUTREVISION": "Previous revision",
    "LATESTREADYREVISION": "Latest ready revision",
}
UNITS = ("B", "kB", "MB", "GB", "TB")


def moment(text: str) -> str:
    """Return an ISO 8601 time for people, UTC; the text itself if it is none."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, TypeError):
        return str(text)


def ago(text: str, now: datetime | None = None) -> str:
    """Return how long ago an ISO 8601 time was, as ``kubectl`` does: ``42s``, ``5m``, ``3h``, ``12d``."""
    try:
        seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()
    except (ValueError, TypeError):
        return str(text)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def size(count: int) -> str:
    """Return a number of bytes for people, such as ``1.5 GB``."""
    value, unit = float(count), UNITS[0]
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def heading(column: str) -> str:
    """Return a column of `bin/pantheon get` as the heading of a table, such as ``Latest ready revision``."""
    return HEADINGS.get(column, column.capitalize())


def short(text: object) -> str:
    """Return a value of a table with long decimal numbers rounded to six digits, such as ``score=0.994429``."""
    return DECIMAL.sub(lambda found: f"{float(found[0]):.6g}", str(text))


def yaml(value: Any) -> str:
    """Return JSON's values as YAML for people, without the library: an object's spec or status."""
    return "\n".join(_lines(value))


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, each in value.items() for line in _under(f"{_scalar(str(key))}:", each)]
    if isinstance(value, list) and value:
        found = []
        for each in value:
            first, *rest = _lines(each)
            found += [f"- {first}", *(f"  {line}" for line in rest)]
        return found
    return [_scalar(value)]


def _under(key: str, value: Any) -> list[str]:
    if isinstance(value, dict | list) and value:
        return [key, *(f"{'  ' if isinstance(value, dict) else ''}{line}" for line in _lines(value))]
    if isinstance(value, str) and "\n" in value and not value.startswith((" ", "\n")):
        return [f"{key} |", *(f"  {line}" for line in value.split("\n"))]
    return [f"{key} {_scalar(value)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
