"""Parse and check settings from the command line before they are used."""

import re
from typing import Literal

from pantheon import durations
from pantheon.errors import PantheonError

METRICS = (  # of ``pantheon.workflow.training.metrics``, which loads scikit-learn; a test compares them
    *("roc_auc", "accuracy", "balanced_accuracy", "f1", "pr_auc", "log_loss", "brier", "calibration_error"),
    *("rmse", "mae", "r2", "rmsle"),
)
LOGS = ("required", "best-effort", "off")
HIGHEST_OFFSET = 40000  # the highest default port plus this is below 65535
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIELDS: tuple[tuple[int, int, list[str]], ...] = (  # minute, hour, day, month, day of the week
    *((0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 7, DAYS)),
)


def port_offset(text: str) -> int:
    """Parse ``PORT_OFFSET=``, 0 to 40000."""
    return _integer("PORT_OFFSET", text, 0, HIGHEST_OFFSET)


def trials(text: str) -> int:
    """Parse ``TRIALS=``, 1 to 10000."""
    return _integer("TRIALS", text, 1, 10000)


def seed(text: str) -> int:
    """Parse ``SEED=``, 0 to 2**32 - 1: the range of NumPy."""
    return _integer("SEED", text, 0, 2**32 - 1)


def folds(text: str) -> int:
    """Parse ``FOLDS=``, 2 to 50."""
    return _integer("FOLDS", text, 2, 50)


def metric(text: str) -> str:
    """Parse ``METRIC=``; ``auto`` is the task's default, an empty name. The workflow checks that the task has it."""
    name = text.strip().lower()
    if name == "auto":
        return ""
    if name in METRICS:
        return name
    raise PantheonError(f"METRIC={text} is not valid.", f"Use auto, or one of {', '.join(METRICS)}.")


def _integer(setting: str, text: str, low: int, high: int) -> int:
    if re.fullmatch("-?[0-9]{1,12}", text.strip()) and low <= int(text) <= high:
        return int(text)
    raise PantheonError(f"{setting} must be between {low} and {high}, not {text!r}.", f"For example {setting}={low}.")


def approval(text: str) -> Literal["auto", "required"]:
    """Parse ``APPROVAL=``."""
    if text == "auto":
        return "auto"
    if text == "required":
        return "required"
    raise PantheonError(f"APPROVAL={text} is not valid.", "Use APPROVAL=auto or APPROVAL=required.")


def log(text: str) -> str:
    """Parse ``LOG=``: what the endpoint does with an answer that cannot be logged; empty for the default."""
    if text in LOGS:
        return "" if text == LOGS[0] else text
    raise PantheonError(f"LOG={text} is not valid.", f"Use one of: {', '.join(LOGS)}.")


def predictions_keep(text: str) -> str:
    """Parse ``PREDICTIONS_KEEP=``, such as ``90d``; empty for ``forever``."""
    text = text.strip().lower()
    if text in ("forever", "off", "none", ""):
        return ""
    try:
        enough = durations.seconds(text) >= durations.UNITS["d"]
    except PantheonError:
        enough = False
    if not enough:
        cure = "Use a day or more, such as PREDICTIONS_KEEP=90d, or forever."
        raise PantheonError(f"PREDICTIONS_KEEP={text} is not valid.", cure)
    return text


def monitor(text: str) -> str:
    """Parse ``MONITOR=``: ``hourly``, ``daily``, ``weekly``, or as ``SCHEDULE=``; empty for ``off``."""
    return _named_schedule("MONITOR", text)


def materialize(text: str) -> str:
    """Parse ``MATERIALIZE=``, as ``MONITOR=``."""
    return _named_schedule("MATERIALIZE", text)


def _named_schedule(setting: str, text: str) -> str:
    text = text.strip()
    named = f"@{text}" if text in ("hourly", "daily", "weekly", "monthly") else text
    try:
        return schedule(named)
    except PantheonError:
        cure = f"Use hourly, daily, weekly, off, or cron, such as {setting}='0 6 * * *'."
        raise PantheonError(f"{setting}={text} is not a valid schedule.", cure) from None


def monitor_report(text: str) -> str:
    """Parse ``MONITOR_REPORT=``: ``evidently``; empty for ``none``."""
    if text in ("evidently", "none", "off", ""):
        return "evidently" if text == "evidently" else ""
    raise PantheonError(f"MONITOR_REPORT={text} is not valid.", "Use MONITOR_REPORT=evidently or MONITOR_REPORT=none.")


def retrain(text: str) -> str:
    """Parse ``RETRAIN=``: ``off``, or the shortest time between two retrainings; empty for the default, 24 hours."""
    text = text.strip().lower()
    if text in ("off", "auto", ""):
        return "off" if text == "off" else ""
    try:
        enough = durations.seconds(text) >= durations.UNITS["h"]
    except PantheonError:
        enough = False
    if not enough:
        cure = "Use off, auto (24 h), or an hour or more between two retrainings, such as RETRAIN=7d."
        raise PantheonError(f"RETRAIN={text} is not valid.", cure)
    return text


def registry(text: str) -> str:
    """Parse ``REGISTRY=`` or ``REGISTRY_IN_CLUSTER=``, such as ``registry.example.com/team``; empty for ``none``."""
    name = text.strip().rstrip("/")
    if name in ("none", "off", ""):
        return ""
    host, *folders = name.split("/")
    part = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    is_host = re.fullmatch(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?", host)
    if is_host and all(re.fullmatch(part, each) for each in folders):
        return name
    cause = f"REGISTRY={text} is not a registry."
    if "://" in name:
        raise PantheonError(cause, f"Leave out the protocol: REGISTRY={name.partition('://')[2]}.")
    cure = "Give a host and a folder in lower case, without a tag: REGISTRY=registry.example.com/team; or none."
    raise PantheonError(cause, cure)


def schedule(text: str) -> str:
    """Parse ``SCHEDULE=``: five cron fields or a preset such as ``@daily``; empty for ``off``."""
    text = text.strip()
    if text in ("off", "none", ""):
        return ""
    fields = text.split()
    if re.fullmatch(r"@(hourly|daily|weekly|monthly)", text):
        return text
    if len(fields) == len(FIELDS) and all(_is_field(f, *limits) for f, limits in zip(fields, FIELDS, strict=True)):
        return text
    raise PantheonError(
        f"SCHEDULE={text} is not a valid schedule.", "Use cron, such as SCHEDULE='0 3 * * *', or @daily, or off."
    )


def _is_field(text: str, low: int, high: int, names: list[str]) -> bool:
    """Return whether ``text`` is a cron field: ``*``, ``*/5``, ``1-5``, ``mon,wed``."""
    for part in text.lower().split(","):
        match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]{1,3}))?", part)
        if not match or (match[3] and int(match[3]) == 0):
            return False
        numbers = [_number(value, low, names) for value in (match[1], match[2]) if value]
        if not all(low <= number <= high for number in numbers):
            return False
    return True


def _number(text: str, low: int, names: list[str]) -> int:
    """Return the number of a field's value; -1 if it is not valid."""
    if text in names:
        return names.index(text) + low
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else -1
