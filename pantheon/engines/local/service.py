"""A service of the local engine: plain dataclasses that can be written as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Health:
    """A health check; durations in seconds.

    Attributes:
        command: the program to run and its arguments; empty if ``url`` is probed.
        url: an ``http://`` address to request; a status from 200 to 399 means healthy.
        retries: number of consecutive failures that make a service unhealthy.
        start_period: time at the start during which failures do not count.
        start_interval: time between probes until the first success; 0: chosen by the engine.
    """

    command: list[str]
    url: str = ""
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 0.0


@dataclass(frozen=True)
class Service:
    """One service as a native process.

    Attributes:
        command: the program and its arguments.
        environment: the service's own variables.
        bin: the ``bin`` folder of the virtual environment that replaces its image.
        folders: folders to create before the start.
        depends_on: name of a service → the condition to wait for.
        restart: ``no``, ``always``, ``unless-stopped`` or ``on-failure``.
        restart_limit: maximum number of restarts with ``on-failure``; 0 for no limit.
        ports: ports on 127.0.0.1 that it listens on.
        address: the first published port as an address, such as ``http://127.0.0.1:8080``.
        unprivileged: run in a user namespace when root starts it.
        task: it has profiles, so ``up`` does not start it.
        start_first: its replacement starts beside it and is checked before it stops. The supervisor keeps its socket.
        release: changes with the code, the scripts and the locks that it runs.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    bin: str
    folders: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    health: Health | None = None
    depends_on: dict[str, str] = field(default_factory=dict)
    restart: str = "no"
    restart_limit: int = 0
    ports: list[int] = field(default_factory=list)
    address: str = ""
    working_dir: str = ""
    stop_signal: str = "SIGTERM"
    stop_grace_period: float = 10.0
    unprivileged: bool = False
    task: bool = False
    start_first: bool = False
    release: str = ""

    def same(self, other: "Service") -> bool:
        """Return whether a running process of one service can be kept for the other.

        As in Compose, dependencies do not count, so growing does not restart services that exist in both models.
        """
        mine, others = self.raw(), other.raw()
        for key in ("depends_on", "task"):
            del mine[key], others[key]
        return bool(mine == others)

    def overlaps(self, other: "Service") -> bool:
        """Return whether ``other``, a new definition of this service, can start beside it."""
        return self.start_first and other.start_first and self.ports == other.ports

    def raw(self) -> dict[str, Any]:
        """Return it as JSON values, for the supervisor."""
        return asdict(self)

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Service":
        """Create a service from its ``raw`` form."""
        health = raw["health"] and Health(**raw["health"])
        known = {key: value for key, value in raw.items() if key in cls.__dataclass_fields__}  # not a later release's
        return cls(**{**known, "health": health})
