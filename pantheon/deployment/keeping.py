"""What a backup contains: the folders that components keep (``keeps`` in a compose file), and how to reach them."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pantheon import components
from pantheon.components import Component, Kept
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.engines.volumes import RunsTasks
from pantheon.errors import PantheonError
from pantheon.tiers import Tier, definitions

HOST = (
    "settings.json",
    "notebooks.digest",
    "exercises.json",
    "state",
    "people",
    "hub",
)  # files of the host, which no service can write
REBUILT = ("state/services.json", "state/deployment.json", "state/.keys.lock")
ALL = ("*",)  # patterns that leave everything out: the component makes the folder again
SAVED = "saved"  # the folder, in a backup, of what components write themselves


@dataclass(frozen=True)
class Part:
    """A kept folder of a component.

    Attributes:
        definition: the compose file of the first tier that has the component.
    """

    component: Component
    kept: Kept
    definition: Path

    @property
    def saved(self) -> str:
        """The folder in the backup, if the component writes it itself."""
        return f"{SAVED}/{self.kept.folder}"


def parts(deployment: Deployment) -> list[Part]:
    """Return the folders with files, also those of tiers that the deployment has left, in the order of ``known``."""
    return [part for part in included() if any(names for _, _, names in os.walk(deployment.state / part.kept.folder))]


def included() -> list[Part]:
    """Return the folders that are not always left out, in the order of ``known``."""
    return [part for part in known() if part.kept.without != ALL]


def known() -> list[Part]:
    """Return the folders that components keep, in the order to read them.

    Databases come first, then the components from the last one of the tiers to the first: what refers to something is
    read before that, so that everything that a backup refers to is in it.
    """
    found: dict[str, tuple[Component, Path]] = {}
    for definition in definitions():
        for component in components.read(definition):
            found.setdefault(component.name, (component, definition))
    every = [Part(component, kept, file) for component, file in reversed(found.values()) for kept in component.keeps]
    return sorted(every, key=lambda part: not part.kept.file)  # stable


class Engines:
    """The engines by which tasks of components run: that of the tier, and those of components it does not have."""

    def __init__(self, deployment: Deployment, tier: Tier) -> None:
        self._deployment, self._tier = deployment, tier
        self.own = deployment.engine(tier)
        self.volumes = self.own.volumes()
        self._names = {each.name for each in self.own.planned()}
        self._others: dict[Path, Engine] = {}
        self._prepared: set[str] = set()

    def parts(self) -> list[Part]:
        """Return the folders with files, also those in volumes; see the function ``parts``."""
        if not self.volumes:
            return parts(self._deployment)
        there, running = self.volumes.with_files([part.kept.folder for part in included()]), self.running()
        served = [part for part in included() if part.kept.save and part.component.services[0] in running]
        return [part for part in included() if part in served or part.kept.folder in there]

    def reader(self, part: Part) -> tuple[RunsTasks, str]:
        """Return what reads the files of ``part``: an engine, and the service whose task does it."""
        if self.volumes:
            return self.volumes, self.volumes.reader
        service = part.kept.stopped if part.kept.save else part.kept.service
        return self.of(part, service), service

    def of(self, part: Part, service: str) -> RunsTasks:
        """Return what runs tasks of ``service``, with its environment or image prepared."""
        if self.volumes:
            return self.volumes
        engine = self.own
        if service not in self._names:
            file = part.definition
            if part.kept.tasks and service not in part.component.services:
                file = part.component.file.parent / part.kept.tasks
            if file not in self._others:
                self._others[file] = self._deployment.engine(self._tier, definition=file, all_of_it=True)
            engine = self._others[file]
        needed = {each.environment for each in engine.planned() if each.name == service} - self._prepared
        if needed:
            engine.prepare(sorted(needed))
            self._prepared |= needed
        return engine

    def running(self) -> set[str]:
        """Return the services that can be used now."""
        return {each.name for each in self.own.status() if each.state in ("healthy", "running")}

    def stopped(self, part: Part, running: Collection[str]) -> bool:
        """Return whether the server of ``part`` is stopped, as opposed to running.

        Raises:
            PantheonError: it is neither.
        """
        server = part.component.services[0]
        if server in running:
            return False
        for each in self.own.status():
            if each.name == server and each.state not in ("stopped", "waiting"):
                raise PantheonError(f"the service {server} is not healthy: {each.state}.", "See why: `status`", 1)
        return True


@contextmanager
def alone(deployment: Deployment, tier: Tier, part: Part) -> Iterator[None]:
    """Have only the component of ``part`` run during the block, in a deployment of which nothing runs."""
    if volumes := deployment.engine(tier, loud=True).volumes():
        with volumes.alone(part.component.services[0]):
            yield
        return
    engine = deployment.engine(tier, definition=part.component.file, all_of_it=True)
    engine.prepare([each.environment for each in engine.planned()])
    try:
        engine.up()
        yield
    finally:
        engine.down()
