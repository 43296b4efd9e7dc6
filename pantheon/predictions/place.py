"""Where the log's files are: a folder, or the bucket of the models, below ``predictions/``."""

import os
from pathlib import Path

from pantheon.store import place
from pantheon.store.place import RETRY_SECONDS, FolderPlace, Place, S3Place, Stored, bring, writing

__all__ = ["ROOT", "FolderPlace", "Place", "S3Place", "Stored", "bring", "open_place", "spool_of", "writing"]

ROOT = "predictions"


def spool_of(state: Path) -> Path:
    """Return where the endpoint of a deployment writes what is not stored yet; services get it as ``SPOOL_DIR``."""
    return Path(os.environ.get("SPOOL_DIR") or state / "volumes" / "spool")


def open_place(state: Path, *, host: bool = False, retry_seconds: float = RETRY_SECONDS) -> Place:
    """Return where the log of the deployment ``state`` is; see ``pantheon.store.place``.

    Raises:
        PantheonError: ``store.json`` is damaged.
    """
    return place.open_place(state, ROOT, host=host, retry_seconds=retry_seconds)
