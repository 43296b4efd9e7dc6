"""``state/services.json``: the services' last status, for the page, and for `status` when the deployment is down.

Standard library only, because the local engine's supervisor also writes it. When a deployment moves to another engine,
that engine starts from this file.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, cast

from pantheon import files
from pantheon.engines import ServiceStatus

FORMAT = 1  # of the local engine's desired.json; increase it when supervisors of earlier releases cannot read it


class Record(TypedDict):
    """One service.

    Attributes:
        name, state, why, address, pid, memory, since, restarts: as in ``ServiceStatus``.
        start: start time of the process ``pid``, clock ticks since boot; 0 if it does not run.
        ends: number of consecutive exits or hangs.
        next_try: time of the next restart, seconds since 1970; 0 if none is planned.
        log_begin: the log's size in bytes when the service was last started.
        ports: the ports it listens on.
    """

    name: str
    state: str
    why: str
    address: str
    pid: int
    memory: int
    since: str
    restarts: int
    start: int
    ends: int
    next_try: float
    log_begin: int
    ports: list[int]


class Services(TypedDict):
    """The file.

    Attributes:
        updated: when it was written, ISO 8601 in UTC.
        generation: of the desired state that the local engine's supervisor applied last; -1 for other engines.
        boot: identifies the machine's boot, during which pids are valid; empty for other engines.
        supervisor: the pid of the local engine's supervisor; 0 for other engines.
        format: the ``FORMAT`` that this supervisor reads; 0 for supervisors of the first releases.
        on_host: services are processes of this machine; see ``Engine.on_host``. `bin/dvc` reads it.
    """

    updated: str
    generation: int
    boot: str
    supervisor: int
    format: int
    on_host: bool
    services: list[Record]


def read(path: Path) -> Services:
    """Read the file; without services if it does not exist or is damaged, because engines rewrite it."""
    empty: Services = {
        "updated": "",
        "generation": -1,
        "boot": "",
        "supervisor": 0,
        "format": 0,
        "on_host": True,
        "services": [],
    }
    found = read_derived(path, {**empty})
    whole = found and all(_fits(service, _STOPPED) for service in found["services"])
    return cast(Services, found) if whole else empty


def read_derived(path: Path, default: dict[str, Any]) -> dict[str, Any] | None:
    """Read a JSON object that can be rebuilt; None if it does not exist, cannot be read or is damaged.

    Args:
        default: its keys, with values of their types; missing keys get these values.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return default | found if isinstance(found, dict) and _fits(default | found, default) else None


def _fits(value: Any, default: Mapping[str, Any]) -> bool:
    """Whether ``value`` is an object that has the keys of ``default`` with values of their types."""
    kinds = {key: (int, float) if isinstance(each, float) else type(each) for key, each in default.items()}
    return isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())


def record_of(status: ServiceStatus) -> Record:
    """Return the record of a service in a container: without a pid, so that another engine does not kill it."""
    return {
        "name": status.name, "state": status.state, "why": status.why, "address": status.address, "pid": 0,
        "memory": status.memory, "since": status.since, "restarts": status.restarts, "start": 0,
        "ends": status.crashes, "next_try": 0.0, "log_begin": 0, "ports": [],
    }  # fmt: skip


_STOPPED = record_of(ServiceStatus("", "stopped"))


def write(path: Path, services: Sequence[Record], generation: int = -1, boot: str = "", supervisor: int = 0) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    content: Services = {
        "updated": now,
        "generation": generation,
        "boot": boot,
        "supervisor": supervisor,
        "format": FORMAT,
        "on_host": bool(boot),
        "services": list(services),
    }
    files.write_json(path, content)  # without fsync, which can take seconds: it is rebuilt


def status_of(record: Record) -> ServiceStatus:
    """Return the recorded status of a service; it may be outdated."""
    return ServiceStatus(
        name=record["name"],
        state=record["state"],
        why=record["why"],
        address=record["address"],
        pid=record["pid"],
        memory=record["memory"],
        since=record["since"],
        restarts=record["restarts"],
        crashes=record["ends"],
    )
