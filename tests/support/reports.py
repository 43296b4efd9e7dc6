"""A report of the monitor, with something in every section."""

from typing import Any

from pantheon.monitoring.report import (
    Alert,
    Column,
    Errors,
    Fairness,
    Group,
    Latency,
    Measure,
    Mix,
    Reason,
    Report,
    Share,
)


def report(**changes: Any) -> Report:
    """An hour of robots with a page and a ticket; ``changes``: of the report's fields."""
    page = Alert("page", "performance", "accuracy", "Accuracy was 0.86, and 0.92 before.", "Look at the log.")
    ticket = Alert("ticket", "drift", "rust-level", "PSI 0.41, limit 0.11.", "Has a sensor changed?")
    share = Share(0.62, 0.6, 0.64, 4300)
    values: dict[str, Any] = {
        "model": "robots",
        "version": "1",
        "since": "2026-11-29T10:00:00+00:00",
        "until": "2026-11-29T11:00:00+00:00",
        "requests": 4211,
        "rows": 4300,
        "versions": {"1": 3900, "2": 400},
        "reference": "training",
        "usual_rows": 4100.0,
        "latency": Latency(0.21, 1.1),
        "errors": Errors(
            Share(0.012, 0.009, 0.016, 4211),
            0.004,
            {"200": 4161, "422": 50},
            [Reason('"battery" is not known.', "battery", "empty", 48)],
        ),
        "columns": [
            Column("rust-level", "number", 0.41, 0.11, 2, Share(0.02, 0.016, 0.025, 4300), 0.01),
            Column("battery", "category", 0.03, 0.11, 0, Share(0.0, 0.0, 0.001, 4300), None, {"empty": 48}, ["medium"]),
            Column("robot-age", "number", None, None, 0, Share(None, None, None, 0)),
        ],
        "predictions": Mix({"Bad Condition": share}, {"Bad Condition": 0.55}, 0.02, 0.11),
        "judged": 812,
        "performance": [Measure("accuracy", 0.86, 0.83, 0.88, 812, 0.92, 2), Measure("f1", None, None, None, 3, None)],
        "fairness": Fairness(
            "Bad Condition is predicted",
            [Group("region", "north", "weekends", "rate", Share(0.31, 0.28, 0.34, 700), 0.62, 0.0001, 2)],
            {"region": 0.5},
        ),
        "alerts": [page, ticket],
        "notes": ["Nothing is known about region in the training."],
    }
    return Report(**{**values, **changes})
