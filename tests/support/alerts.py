"""Reports with alerts in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pantheon.monitoring.report import Alert, Column, Errors, Latency, Report, Share

START = datetime(2026, 3, 1, tzinfo=UTC)
DRIFT = Alert("ticket", "drift", "rust-level", "rust-level has moved: PSI 0.4.", "where its values come from")
WORSE = Alert("page", "performance", "accuracy", "accuracy fell from 0.91 to 0.72.", "the newest feedback")


def column(name: str, psi: float | None = 0.01, rows: int = 500) -> Column:
    return Column(name, "number", psi, 0.1, 0, Share(0.0, 0.0, 0.01, rows), 0.0)


def report(hour: int = 0, *alerts: Alert, **changes: Any) -> Report:
    """The report about one hour."""
    until = START + timedelta(hours=hour)
    share = Share(0.0, 0.0, 0.01, 500)
    values: dict[str, Any] = {
        "model": "robots", "version": "3", "since": (until - timedelta(hours=1)).isoformat(),
        "until": until.isoformat(), "requests": 500, "rows": 500, "versions": {"3": 500}, "reference": "training",
        "usual_rows": 500.0, "latency": Latency(0.2, 1.0), "errors": Errors(share, 0.0, {}, []),
        "columns": [column("rust-level"), column("battery")], "predictions": None, "judged": 0, "performance": [],
        "fairness": None, "alerts": list(alerts), "notes": [],
    }  # fmt: skip
    return Report(**values | changes)
