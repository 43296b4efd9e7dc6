"""How the dashboard writes times and sizes."""

from datetime import UTC, datetime

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
