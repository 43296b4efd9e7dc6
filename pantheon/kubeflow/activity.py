"""Who did what: one JSON line for each change that was asked of the service, also by commands.

The file only grows. When it is full, it becomes the older one of two, so that it never takes more than twice its size.
"""

import json
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

MOST_BYTES = 8 << 20  # about 50,000 lines
NOBODY = "somebody with the service's key"


class Activity:
    """The record of one deployment. Thread-safe.

    Args:
        file: ``activity.jsonl``; it and its folder are made when needed.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.older = file, file.with_suffix(".old.jsonl")
        self._lock = threading.Lock()

    def add(self, by: str, did: str, kind: str, namespace: str, name: str) -> None:
        """Record that ``by`` did something, such as ``created``, to an object.

        Raises:
            PantheonError: it cannot be written.
        """
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "by": by or NOBODY,
            "did": did,
            "kind": kind,
            "namespace": namespace,
            "name": name,
        }
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        try:
            with self._lock:
                if self.file.exists() and self.file.stat().st_size > MOST_BYTES:
                    self.file.replace(self.older)
                with self.file.open("ab", buffering=0) as file:
                    file.write(line)
        except OSError as error:
            raise PantheonError(f"{self.file} cannot be written: {error.strerror}.", "Free disk space.", 1) from None

    def read(self, namespace: str = "", most: int = 50) -> list[dict[str, Any]]:
        """Return the last changes in a namespace, or in all; newest first. Lines that a crash cut off are skipped."""
        last: deque[dict[str, Any]] = deque(maxlen=most)
        for path in (self.older, self.file):
            if not path.exists():
                continue
            with path.open("rb") as file:
                for line in file:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if not namespace or entry.get("namespace") == namespace:
                        last.append(entry)
        return list(reversed(last))
