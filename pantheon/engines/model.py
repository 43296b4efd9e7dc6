"""The resolved compose model as the local engine runs it: plain dataclasses, small enough to write as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"


@dataclass(frozen=True)
class Health:
    """A health check; durations in seconds.

    Attributes:
        command: the program to run and its arguments; empty where ``url`` is probed.
        url: an ``http://`` address to ask; any status from 200 to 399 is health.
        retries: how many failures in a row make a service unhealthy.
        start_period: how long failures do not count.
        start_interval: between probes until the first success; 0 for the engine's own choice.
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
        bin: the ``bin`` folder of the virtual environment that stands for its image.
        folders: folders to make before the start.
        depends_on: the name of a service → the condition to wait for.
        restart: ``no``, ``always``, ``unless-stopped`` or ``on-failure``.
        restart_limit: restarts of ``on-failure`` before giving up; 0 for no limit.
        ports: what it listens on, on 127.0.0.1.
        address: the first published port for people, such as ``http://127.0.0.1:8080``.
        unprivileged: run in a user namespace when root starts it.
        task: has profiles, so that ``up`` does not start it.
        one_off: ``up`` waits until it has completed, although no other service does.
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
    one_off: bool = False

    def same(self, other: "Service") -> bool:
        """Whether a process of the one need not be started again to be a process of the other.

        As in Compose, what a service waits for is not part of it: growing never restarts what both models have.
        """
        mine, others = self.raw(), other.raw()
        for key in ("depends_on", "task"):
            del mine[key], others[key]
        return bool(mine == others)

    def raw(self) -> dict[str, Any]:
        """For the supervisor: without ``one_off``, which only `up` asks for, so that an older one can read it."""
        return {key: value for key, value in asdict(self).items() if key != "one_off"}

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Service":
        """A service from its ``raw`` form."""
        health = raw["health"] and Health(**raw["health"])
        return cls(**{**raw, "health": health})


def start_order(services: dict[str, Service]) -> list[str]:
    """The names of ``services``, each after those it depends on (Compose has already refused cycles)."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in services and name not in order:
            for needed in sorted(services[name].depends_on):
                visit(needed)
            if name not in order:
                order.append(name)

    for name in services:
        visit(name)
    return order
