"""Parse durations in the syntax of Compose (``1m30s``, ``1.5s``, ``100ms``), and format seconds for people."""

import re

from pantheon.errors import PantheonError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d)")


def seconds(text: str) -> float:
    """Parse a duration; return seconds.

    Raises:
        PantheonError: it is not a valid duration.
    """
    total, end = 0.0, 0
    for match in PART.finditer(text):
        if match.start() != end:
            break
        total += float(match[1]) * UNITS[match[2]]
        end = match.end()
    if text == "0":
        return 0.0
    if not text or end != len(text):
        raise PantheonError(f"{text!r} is not a valid duration.", "Use a duration such as 1m30s, 1.5s or 100ms.")
    return total


def words(value: float) -> str:
    """Format seconds for people: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``25 min``, ``2 h 10 min``."""
    if value < 9.95:
        return f"{value:.1f} s".replace(".0 s", " s")
    rounded = round(value)
    if rounded < 120:
        return f"{rounded} s"
    minutes, rest = divmod(rounded, 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
