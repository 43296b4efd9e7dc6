"""``state/services.json`` as the Compose engine writes it, for the page and for what is stopped."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from pantheon.engines import ServiceStatus
from pantheon.engines.files import read_json, write_json

# What the local engine keeps beside: it starts from this file when a deployment moves to it.
LOCAL = {"start": 0, "ends": 0, "next_try": 0.0, "log_begin": 0, "ports": []}


def read(path: Path) -> list[ServiceStatus]:
    """The services as they were last seen; none where there is no file."""
    known = {each.name for each in fields(ServiceStatus)}
    records = (read_json(path) or {}).get("services", [])
    return [ServiceStatus(**{key: value for key, value in record.items() if key in known}) for record in records]


def write(path: Path, found: Sequence[ServiceStatus]) -> None:
    """Without pids: a container's process is nothing that another engine may end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = ("name", "state", "why", "address", "memory", "since", "restarts")
    records = [{key: getattr(status, key) for key in kept} | {"pid": 0} | LOCAL for status in found]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    write_json(path, {"updated": now, "generation": -1, "services": records})
