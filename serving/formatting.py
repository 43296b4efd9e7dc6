"""Format numbers, times and names for display."""

import re
from datetime import UTC, datetime
from typing import Any

METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}


def number(value: Any, digits: int = 4) -> str:
    """Format a number with separated thousands and at most ``digits`` significant digits."""
    if value is None or isinstance(value, bool):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def metric(name: str) -> str:
    return METRICS.get(name, title(name))


def title(name: str) -> str:
    """Format a column's or model's name as a label: ``robot-age`` → ``Robot age``."""
    text = name.replace("_", " ").replace("-", " ").strip() or name
    return text[0].upper() + text[1:]


def percent(share: float) -> str:
    """Format a probability as a percentage, never rounded to 0 % or 100 %."""
    if share >= 0.9995:
        return "> 99.9 %"
    if share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.1f} %" if share > 0.99 or share < 0.01 else f"{share * 100:.0f} %"


def ago(iso: str) -> str:
    """Format how long ago an ISO 8601 time was; other texts are returned unchanged."""
    try:
        then = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = (datetime.now(UTC) - then).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now" if seconds < 10 else "less than a minute ago"


def moment(iso: str) -> str:
    """Format a time in UTC to the second; other texts are returned unchanged."""
    try:
        then = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    then = then.replace(tzinfo=UTC) if then.tzinfo is None else then.astimezone(UTC)
    return f"{then:%Y-%m-%d %H:%M:%S} UTC"


def time(text: str) -> datetime:
    """Parse an ISO 8601 time, in UTC if it has no offset. A space from a decoded query counts as ``+``.

    Raises:
        ValueError: it is not a valid time.
    """
    if len(text) > 40:
        raise ValueError("too long for a time")
    then = datetime.fromisoformat(re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text) if "T" in text.upper() else text)
    if then.tzinfo is None:
        return then.replace(tzinfo=UTC)
    try:
        return then.astimezone(UTC)
    except OverflowError:  # the first and last day of the calendar cannot be converted
        return then.replace(tzinfo=UTC)


def listed(names: list[str], most: int = 12) -> str:
    """Join the first ``most`` names with commas."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
