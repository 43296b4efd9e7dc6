"""Records for the prediction log."""

import json
import time
from typing import Any

from pantheon.predictions.ids import new_id
from pantheon.predictions.records import Answered, Feedback


def answered(model: str = "robots", **changes: Any) -> Answered:
    """A record of an answer that is given now."""
    values: dict[str, Any] = {
        "id": new_id(),
        "at": time.time_ns() // 1000,
        "model": model,
        "version": "1",
        "arm": "champion",
        "reason": "champion",
        "key": "shop",
        "ms": 0.25,
        "status": 200,
    }
    return Answered(**values | changes)


def said(id: str, row: int = 0, **changes: Any) -> Feedback:
    """Feedback about an answer, given now."""
    values: dict[str, Any] = {"at": time.time_ns() // 1000, "correct": True, "value": None, "comment": ""}
    return Feedback(id=id, row=row, **{"by": "shop", "source": "endpoint"} | values | changes)


def rows(*values: Any) -> bytes:
    return json.dumps(values).encode()


def answer(*predictions: Any) -> bytes:
    return json.dumps({"prediction": predictions}).encode()
