"""The cache of steps: ``kfp.local``'s, with bounds. ``kfp.local`` never removes an entry."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from kfp.local.cache import LocalCache

MOST_ENTRIES = 2_000  # of a profile; each is a file of some KB, which names artifacts of the run that made them
MOST_DAYS = 30.0  # since an entry was last used
DAY = 86_400.0


class Cache(LocalCache):  # type: ignore[misc]
    """Outputs of steps by the digest of their code and inputs; what has not been used for long is removed first.

    Args:
        folder: made if it is missing. Removes entries beyond the bounds.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.prune(time.time())

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the outputs of a step; None if they are not known, or an artifact does not exist any more."""
        found: dict[str, Any] | None = super().get(key)
        if found is not None:
            with suppress(FileNotFoundError):  # pruned by another run
                os.utime(self._entry_path(key))
        return found

    def prune(self, now: float) -> None:
        """Remove entries beyond the bounds, and incomplete files of processes that were killed.

        Args:
            now: seconds since 1970.
        """
        used = []
        with os.scandir(self.cache_root) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    used.append((entry.stat().st_mtime, entry.path))
        used.sort(reverse=True)
        for place, (when, path) in enumerate(used):
            if place >= MOST_ENTRIES or now - when > MOST_DAYS * DAY:
                Path(path).unlink(missing_ok=True)
