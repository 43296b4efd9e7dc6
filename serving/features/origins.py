"""Where inputs came from, as the log has it: beside the inputs of each row, under ``_features``.

{"battery": "low", "rust-level": 9, "_features": {"entity": {"robot-id": "7"}, "views": {"robots": {
    "time": "2026-03-01T12:00:00.000000Z", "inputs": ["battery"]}}}}

Of a request that was refused before its features were used, the rows are as they were sent, and have no ``views``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from serving.model.predictor import ORIGIN
from serving.problems import Problem

Origin = dict[str, Any]


def origin(entity: str, id: str, views: dict[str, tuple[datetime, list[str]]]) -> Origin:
    """Return the origin of a row's inputs.

    Args:
        views: by the name of the view: the event time, and the inputs that came from it.
    """
    found = {
        view: {"time": time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z", "inputs": inputs}
        for view, (time, inputs) in views.items()
    }
    return {"entity": {entity: id}, "views": found}


def taken_out(rows: Sequence[Any]) -> tuple[list[Any], list[Origin | None]]:
    """Return logged rows as the model got them, and the origin of each; None: the request had all of it."""
    inputs = [
        {name: value for name, value in row.items() if name != ORIGIN} if isinstance(row, dict) else row for row in rows
    ]
    found = [row.get(ORIGIN) if isinstance(row, dict) else None for row in rows]
    return inputs, [each if isinstance(each, dict) else None for each in found]


def blamed(problem: Problem, origins: Sequence[Origin | None]) -> Problem:
    """Return the problem; if the refused value came from the feature store, its message says so."""
    row = problem.row
    given = origins[row] if row is not None and row < len(origins) else None
    for view, entry in (given or {}).get("views", {}).items():
        if problem.field in entry["inputs"]:
            problem.message += f' The value is from the view "{view}": send the input, or push another value.'
    return problem
