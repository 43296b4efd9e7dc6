"""Make the report about one window of time. Runs in the environment ``monitoring``."""

from datetime import datetime, timedelta
from pathlib import Path

from pantheon.monitoring.report import Report
from pantheon.predictions.place import Place
from pantheon.store import ModelStore


def monitor(
    store: ModelStore,
    place: Place,
    spool: Path | None,
    model: str,
    *,
    until: datetime | None = None,
    window: timedelta,
    previous: Report | None,
) -> Report:
    """Return the report about the time ``window`` before ``until``; it is not stored yet (``report.keep``).

    Args:
        spool: the folder of segments that are not stored yet; None: leave them out.
        until: with a time zone; None: now.
        previous: the report before (``report.latest``); None: this is the first one.

    Raises:
        PantheonError: there is no such model, or the store or the log cannot be read.
    """
    raise NotImplementedError
