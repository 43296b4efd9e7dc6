"""What an engine offers for backups, if its services do not share folders of this machine."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

from pantheon.engines import OnOutput


class RunsTasks(Protocol):
    """Runs tasks of services, as ``Engine.run_task`` does."""

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
    ) -> int: ...


class Volumes(RunsTasks, ABC):
    """The volumes of one deployment, which have the folders of its services.

    Attributes:
        of_host: folders that are on this machine all the same; the engine brings them to the services.
        reader: the name of the task that sees the folders of all services, except those of servers that run.
    """

    of_host: tuple[str, ...]
    reader: str

    @abstractmethod
    def place(self, path: str) -> tuple[PurePosixPath, str]:
        """Return where ``reader`` sees a path in the deployment's folder: the folder of its volume, and the rest."""

    @abstractmethod
    def with_files(self, folders: Collection[str]) -> set[str]:
        """Return which of these folders ``reader`` sees and have files."""

    @abstractmethod
    def create(self, environments: Collection[str]) -> None:
        """Make the volumes of a new deployment, and what its services need to start; none is started.

        Args:
            environments: those of its services, whose images are made.

        Raises:
            PantheonError: there is a deployment of this name already, which is not touched; or the engine refuses.
        """

    @abstractmethod
    def alone(self, server: str) -> AbstractContextManager[None]:
        """Have one service run during the block, in a deployment of which nothing runs."""

    @abstractmethod
    def end_tasks(self) -> None:
        """End what still waits for the next task; it would keep the volumes from other machines."""
