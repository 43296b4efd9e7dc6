"""How services run: the interface every engine offers, and what it tells about services.

The workflow, the tests and the comparison use this interface alone, so a deployment behaves the same as native
processes, under Docker Compose or on Kubernetes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

STATES = ("waiting", "starting", "healthy", "running", "completed", "failed", "restarting", "stopped")


@dataclass(frozen=True)
class ServiceStatus:
    """One service as it is now.

    Attributes:
        name: the service's name in the compose model.
        state: one of ``STATES``; ``running`` is a service without a health check.
        why: the state in words, such as ``exited with 1, third time; next try in 4 s``; may be empty.
        address: where it listens, such as ``http://127.0.0.1:8080``; empty for a service without a port.
        pid: its main process, 0 for none.
        memory: proportional set size of all its processes, bytes; 0 where it does not run.
        since: when this state began, ISO 8601 in UTC.
        uptime: seconds since its main process started, 0 where it does not run.
        restarts: how often it was started again after it ended by itself.
    """

    name: str
    state: str
    why: str = ""
    address: str = ""
    pid: int = 0
    memory: int = 0
    since: str = ""
    uptime: float = 0.0
    restarts: int = 0


@dataclass(frozen=True)
class Planned:
    """One service as the tier's files define it, whether it runs or not.

    Attributes:
        name: the service's name in the compose model.
        environment: the environment (``requirements/NAME.txt``) or image that it runs in.
        ports: what it publishes on 127.0.0.1.
        address: the first of them for people, such as ``http://127.0.0.1:8080``; empty for none.
        task: it is run by ``run_task`` alone, ``up`` does not start it.
    """

    name: str
    environment: str
    ports: tuple[int, ...] = ()
    address: str = ""
    task: bool = False


@dataclass(frozen=True)
class Event:
    """A service changed its state.

    Attributes:
        service: the service's name.
        state: the new state, one of ``STATES``.
        why: the state in words; may be empty.
        seconds: since ``up`` or ``down`` began.
    """

    service: str
    state: str
    why: str
    seconds: float


OnEvent = Callable[[Event], None]


class Engine(Protocol):
    """What runs a deployment's services. Every method raises PantheonError for what a person can put right.

    Services of a component that the deployment leaves out (``x-component``) are not there for any method.
    """

    @property
    def name(self) -> str:
        """``local``, ``compose`` or ``helm``."""

    def planned(self) -> list[Planned]:
        """Every service of the tier in start order, tasks included."""

    def up(self, on_event: OnEvent | None = None) -> None:
        """Start what is missing, restart what changed, stop what is no longer defined; return when all is healthy.

        Raises:
            PantheonError: a service cannot get healthy, ends again and again, or a one-off fails: names the service,
                the reason, the last lines of its log and the next command. What runs is kept.
        """

    def down(self, on_event: OnEvent | None = None) -> None:
        """Stop every service in reverse dependency order and leave no process; data is kept."""

    def destroy(self) -> None:
        """``down``, and delete what the engine itself keeps for the deployment; the state folder is the caller's."""

    def status(self) -> list[ServiceStatus]:
        """Every service of the deployment, in start order; empty where it was never up."""

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        """Log lines, each after its service's name: the last ``tail`` of each service, then new ones if ``follow``."""

    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> int:
        """Run ``command`` once in the surroundings of ``service`` and return its exit status.

        Args:
            service: whose image, environment, secrets and folders to use; a service with ``profiles`` exists for this.
            command: the program and its arguments; no shell.
            environment: variables on top of the service's own.
            on_output: called with each line of standard output and standard error, without its line end.

        The task and all it started end when the caller is interrupted or killed.
        """
