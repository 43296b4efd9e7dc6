"""How services run: the interface of an engine, and the registry of engines.

The workflow, the commands and the tests only use this interface, so a deployment behaves the same as native processes,
under Docker Compose or on Kubernetes.

An engine is a folder, ``pantheon/engines/NAME/``, whose ``__init__.py`` defines what ``EngineModule`` lists and imports
the rest of the engine only when it is opened. No other code contains an engine's name.
"""

import importlib
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pantheon.engines.findings import Finding
from pantheon.errors import PantheonError
from pantheon.processes import descendants

if TYPE_CHECKING:
    from pantheon.engines.volumes import Volumes

STATES = ("waiting", "starting", "healthy", "running", "completed", "failed", "restarting", "stopped")


@dataclass(frozen=True)
class ServiceStatus:
    """The current status of one service.

    Attributes:
        name: the service's name in the compose model.
        state: one of ``STATES``; ``running`` is a service without a health check.
        why: the reason for the state, such as ``exited with 1, third time; next try in 4 s``; may be empty.
        address: the address it listens on, such as ``http://127.0.0.1:8080``; empty for a service without a port.
        pid: the main process's pid; 0 if it does not run.
        memory: proportional set size of all its processes, bytes; 0 if it does not run.
        since: the time of the last change of state, ISO 8601 in UTC.
        uptime: seconds since its main process started; 0 if it does not run.
        restarts: number of restarts after it exited or hung.
        crashes: number of consecutive exits or hangs, without a stable period in between.
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
    crashes: int = 0


@dataclass(frozen=True)
class Planned:
    """One service as defined by the tier's files, running or not.

    Attributes:
        name: the service's name in the compose model.
        environment: the environment (``requirements/NAME.txt``) that it runs in; for third-party images, the image.
        ports: the ports that it publishes on 127.0.0.1.
        address: the first of them as an address, such as ``http://127.0.0.1:8080``; empty if there is none.
        task: only ``run_task`` runs it, ``up`` does not start it.
        image: the image in the definition, such as ``pantheon/serving:0.1.0-81c3afd95923``; may be empty.
        inside: its address for other services, such as ``http://s3:9000``; empty if it has none.
    """

    name: str
    environment: str
    ports: tuple[int, ...] = ()
    address: str = ""
    task: bool = False
    image: str = ""
    inside: str = ""


@dataclass(frozen=True)
class Event:
    """A service changed its state.

    Attributes:
        service: the service's name.
        state: the new state, one of ``STATES``.
        why: the reason for the state; may be empty.
        seconds: since ``up`` or ``down`` began.
    """

    service: str
    state: str
    why: str
    seconds: float


OnEvent = Callable[[Event], None]
OnOutput = Callable[[str], None]


def silent(_: str) -> None:
    """Discard the text."""


@dataclass(frozen=True)
class Options:
    """The options of an engine.

    Attributes:
        name: the deployment's name.
        state: its state folder; created if it is missing.
        definition: the tier's compose file.
        root: the repository.
        port_offset: added to the default of every ``X_PORT`` variable.
        without: components to leave out, that is, the services with this ``x-component``.
        echo: called with every external command before it runs.
        environment: the user's environment variables.
    """

    name: str
    state: Path
    definition: Path
    root: Path
    port_offset: int = 0
    without: Collection[str] = ()
    echo: Callable[[str], None] = silent
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Engine(ABC):
    """Runs a deployment's services. All methods raise PantheonError for errors that a user can fix.

    For every method, services of a component that the deployment leaves out do not exist.

    Attributes:
        name: the name of its folder.
        on_host: services are processes of this machine: its folders have the same paths in services, and services can
            call its programs, such as git.
        isolated: services cannot connect to other machines, nor to this one by its loopback address.
        lets_out: services that need another S3 can connect to it all the same.
        shares_folders: services use the folders of this machine; otherwise those of a volume, see ``publish``.
        own_test: the name of a test that the engine itself has, such as ``helm test``; see ``test``.
        by_hand: users can run the definition with this engine's own command line; see ``prepare_by_hand``.
        keeper: what restarts a service that ended, such as ``Docker``.
    """

    name: str
    keeper: str = "the engine"
    on_host: bool = False
    isolated: bool = False
    lets_out: bool = False
    shares_folders: bool = True
    own_test: str = ""
    by_hand: bool = False

    def check(self) -> None:  # noqa: B027 - an engine may have nothing to check
        """Raise PantheonError if this engine cannot be used on this machine now. Changes nothing."""

    def findings(self) -> list[Finding]:
        """Check what runs the services, if that is not this machine; see ``doctor``. Changes nothing."""
        return []

    def survivors(self) -> dict[int, str]:
        """Return processes of the deployment, by pid with their names, that run although ``check`` fails."""
        return {}

    @abstractmethod
    def planned(self) -> list[Planned]:
        """Return every service of the tier in start order, including tasks."""

    def address(self, service: str, inside: bool = False) -> str:
        """Return the address of a service of the tier, running or not, such as ``http://127.0.0.1:9000``.

        Args:
            inside: return the address for other services, such as ``http://s3:9000``.

        Raises:
            PantheonError: the tier has no such service.
        """
        planned = {service.name: service for service in self.planned()}
        if service not in planned:
            raise no_service(service, planned)
        return planned[service].inside if inside else planned[service].address

    @abstractmethod
    def prepare(self, environments: Collection[str]) -> None:
        """Create or update the environments, or the images that contain them, and show the progress.

        Args:
            environments: names as in ``Planned.environment``. Engines that run images skip names without an image in
                the tier.
        """

    @abstractmethod
    def up(self, on_event: OnEvent | None = None, environments: Collection[str] = ()) -> None:
        """Start missing services, restart changed ones, stop undefined ones; return when all services are healthy.

        Args:
            on_event: called with every change of a service.
            environments: to be made first, as ``prepare`` does; services that need others may start meanwhile.

        Raises:
            PantheonError: a service does not become healthy or keeps crashing, or a one-off fails. Names the service,
                the reason, the last lines of its log and the next command. Running services are kept.
        """

    @abstractmethod
    def down(self, on_event: OnEvent | None = None) -> None:
        """Stop all services in reverse dependency order and leave no process; data is kept."""

    @abstractmethod
    def destroy(self) -> None:
        """``down``, and delete the engine's own data of the deployment; the caller deletes the state folder."""

    @abstractmethod
    def status(self) -> list[ServiceStatus]:
        """Return the status of every service in start order; empty if the deployment was never up."""

    def processes(self) -> list[int]:
        """Return the pids of all processes of the deployment, also of tasks; empty if they are on other machines."""
        return descendants(status.pid for status in self.status() if status.pid)

    def sizes(self, environments: Collection[str]) -> tuple[dict[str, int], int]:
        """Return the bytes of each environment or image on this machine, and of all, where shared files count once.

        Args:
            environments: names as in ``Planned.environment``; those that do not exist are skipped.
        """
        return {}, 0

    def warnings(self) -> list[str]:
        """Return a sentence with a remedy for each trouble of the engine itself, as opposed to that of a service."""
        return []

    def test(self) -> str:
        """Run ``own_test``, and return what it found. Raises PantheonError if it fails."""
        return ""

    @abstractmethod
    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        """Yield log lines after the service's name: the last ``tail`` per service, then new ones if ``follow``."""

    @abstractmethod
    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
        on_errors: OnOutput | None = None,
        input: Path | bytes | None = None,
        output: int | None = None,
    ) -> int:
        """Run ``command`` once with the environment, secrets and folders of ``service`` and return its exit status.

        Args:
            service: the service whose image, environment, secrets and folders to use; it may have ``profiles``.
            command: the program and its arguments; runs without a shell.
            environment: variables in addition to the service's own.
            on_output: called with every line of standard output, without the line end.
            on_errors: the same for standard error; None: ``on_output`` is called.
            input: a file of this machine or bytes for its standard input; None for empty input.
            output: a descriptor of this process that gets its standard output as it is, instead of ``on_output``.

        The task and its child processes end when the caller is interrupted or killed.
        """

    def volumes(self) -> "Volumes | None":
        """Return what has the folders of services for backups; None: they are folders of this machine."""
        return None

    def load_images(self, archive: Path) -> list[str]:
        """Load the images of an archive that ``images-save`` made. Return their names.

        Raises:
            PantheonError: this engine does not run images, or the archive cannot be loaded.
        """
        raise PantheonError(f"the engine {self.name} does not run images.")

    def publish(self) -> None:  # noqa: B027 - services read the files themselves where they share folders
        """Bring the files that this machine writes for running services to them; tasks see them anyway.

        Raises:
            PantheonError: the services cannot be reached.
        """

    def prepare_by_hand(self, env_file: Path) -> str:
        """Prepare the deployment for running the definition with the engine's own command line.

        Args:
            env_file: the file to write the interpolated values to.

        Returns:
            The command that starts the tier.

        Raises:
            PantheonError: this engine has no command line; nothing was changed.
        """
        raise PantheonError(f"the engine {self.name} has no command line of its own.")


def no_service(service: str, services: Collection[str]) -> PantheonError:
    """Return the error for a service that does not exist."""
    return PantheonError(f"There is no service {service!r}.", f"Services: {', '.join(services) or 'none'}.")


class EngineModule(Protocol):
    """The interface of ``pantheon/engines/NAME/__init__.py``.

    Attributes:
        RANK: a new deployment gets the available engine with the highest rank.
        ON_HOST: services are processes of this machine.
    """

    RANK: int
    ON_HOST: bool

    def available(self, environment: Mapping[str, str]) -> tuple[bool, str]:
        """Return whether this machine can use the engine, and why (not): ``processes of this machine``."""

    def create(self, options: Options) -> Engine:
        """Return the engine for one deployment; starts nothing."""


def modules() -> dict[str, EngineModule]:
    """Return the engines by name, highest rank first."""
    engines: dict[str, EngineModule] = {}
    for package in pkgutil.iter_modules(__path__):
        if package.ispkg:
            module = importlib.import_module(f"{__name__}.{package.name}")
            if hasattr(module, "create"):
                engines[package.name] = cast(EngineModule, module)
    return dict(sorted(engines.items(), key=lambda item: (-item[1].RANK, item[0])))


def engine_names() -> list[str]:
    """Return the valid values of ``ENGINE=``."""
    return list(modules())


def on_host(name: str) -> bool:
    """Return whether services of the engine ``name`` are processes of this machine; of an unknown engine, False."""
    return name in (engines := modules()) and engines[name].ON_HOST


def open_engine(name: str, options: Options) -> Engine:
    """Return the engine ``name`` for one deployment.

    Raises:
        PantheonError: the engine does not exist.
    """
    engines = modules()
    if name not in engines:
        raise PantheonError(f"there is no engine {name!r}.", f"The engines: {', '.join(engines)}.")
    return engines[name].create(options)


def default_engine(environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return the engine for a new deployment on this machine, and why: ``processes …, since no Docker engine answers``.

    Raises:
        PantheonError: no engine can be used on this machine.
    """
    reasons: list[str] = []
    for name, module in modules().items():
        usable, why = module.available(os.environ if environment is None else environment)
        if usable:
            return name, ", since ".join(filter(None, (why, " and ".join(reasons))))
        reasons.append(why)
    raise PantheonError(f"no engine can be used on this machine: {'; '.join(reasons)}.", "Install Docker Engine.")
