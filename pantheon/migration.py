"""Migrate from the layout before version 2, which had settings and the services' output in ``state/`` too.

Services of the older version keep running until ``up`` replaces them. Until then, the served model is also written to
the file that they read, and what they write there is used; a command that moves the models also waits for their locks.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pantheon import files

LOCKS = (".store.gate", ".store.lock")


def serving_file(state: Path) -> Path:
    """Return the file in which services of the older version read and write the served model."""
    return state / "state" / "serving.json"


def settings(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert settings of version 1 to version 2: ``s3`` was a mapping, empty for our own; ``extra`` was unused."""
    kept = {key: value for key, value in raw.items() if key != "extra"}
    return kept | {"s3": raw.get("s3") or None, "version": 2}


def begin(state: Path) -> None:
    """Mark that services of both versions may run from now on."""
    _mark(state).touch()


def under_way(state: Path) -> bool:
    """Return whether services of the older version may still run."""
    return _mark(state).exists()


def tell(state: Path, model: str) -> None:
    """Make the older version's button serve ``model``."""
    if serving_file(state).exists():
        with suppress(OSError):  # a container has ``state/`` read-only
            files.write_json(serving_file(state), {"model": model})


def end(state: Path, oldest: float) -> bool:
    """Remove files that only the older version uses, unless one of its services still runs.

    Args:
        oldest: start time of the longest-running service, in seconds since 1970.

    Returns:
        Whether the files were removed.
    """
    if not under_way(state) or oldest < _mark(state).stat().st_mtime:
        return False
    for name in (serving_file(state).name, *LOCKS):
        (state / "state" / name).unlink(missing_ok=True)
    _mark(state).unlink()
    return True


def _mark(state: Path) -> Path:
    """Return the marker file, which exists while both may run; its modification time is the start of the migration."""
    return state / ".migrating"
