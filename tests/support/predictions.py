"""Records for the prediction log."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.predictions import frames
from pantheon.predictions.ids import new_id
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.records import Answered, Feedback
from tests.support.waiting import until


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


def early_enough() -> None:
    """Wait over midnight (UTC), if that is near: the log has a folder for each day, and tests count its files."""
    until(lambda: 86_400 - time.time() % 86_400 > 60, 120, "the next day")


class Interrupted(BaseException):
    """The process is killed here."""


class Fragile(FolderPlace):
    """A folder that is interrupted at its n-th change, before or after it takes effect."""

    def __init__(self, folder: Path, changes: int, after: bool) -> None:
        super().__init__(folder)
        self.changes, self.after = changes, after

    def put_new(self, key: str, content: bytes) -> bool:
        return bool(self._change(lambda: super(Fragile, self).put_new(key, content)))

    def remove(self, key: str) -> None:
        self._change(lambda: super(Fragile, self).remove(key))

    def _change(self, work: Callable[[], Any]) -> Any:
        self.changes -= 1
        if self.changes < 0:
            raise Interrupted
        if self.changes == 0 and not self.after:
            raise Interrupted
        result = work()
        if self.changes == 0:
            raise Interrupted
        return result


def segment(
    spool: Path, records: list[tuple[Answered, Any, Any]] | None = None, said: list[Feedback] | None = None
) -> str:
    """Write a closed segment; return its name."""
    spool.mkdir(parents=True, exist_ok=True)
    name = new_id()
    content = b"".join(frames.of_answer(record, rows(given), answer(told)) for record, given, told in records)
    content += b"".join(map(frames.of_feedback, said or []))
    (spool / f"{name}.closed").write_bytes(content)
    return name
