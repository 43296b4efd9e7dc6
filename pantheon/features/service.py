"""The feature store's service: where its files are, and Feast's own ``FeatureStore``.

Only this package's service and commands import Feast, in the environment ``feast``: it takes four seconds and 200 MB.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.features import repository
from pantheon.features.definitions import Definitions
from pantheon.features.intervals import Intervals
from pantheon.features.keeper import Keeper
from pantheon.features.look import Look
from pantheon.features.online import Online
from pantheon.features.parts import ROOT, Parts, bring
from pantheon.store import place
from pantheon.store.place import FolderPlace


@dataclass(frozen=True)
class Here:
    """Where the service and Feast's commands find things, in this environment.

    Attributes:
        state: the deployment's state folder.
        repository: Feast's repository: ``feature_store.yaml``, and the definitions that users write. Feast's commands
            and the service run in it: the paths of sources in the registry are relative to it, so that they are the
            same in containers and on this machine.
        parts: the copy of the Parquet parts that Feast reads, one folder for each view.
    """

    state: Path
    repository: Path
    parts: Path

    @classmethod
    def from_environment(cls) -> "Here":
        """Return it by STATE_DIR and FEATURES_DIR.

        Raises:
            PantheonError: the environment does not name them.
        """
        state = os.environ.get("STATE_DIR", "")
        if not state or not Path(state).is_dir():
            raise PantheonError(
                "STATE_DIR does not name a deployment's state folder.", "Start with `make tier-hephaestus up`."
            )
        folder = Path(state)
        parts = Path(os.environ.get("FEATURES_DIR") or folder / "volumes" / "features")
        return cls(folder, folder / "feast", parts)

    @property
    def incoming(self) -> Path:
        """The folder of bodies and answers while a request is handled; on a disk, which ``/tmp`` may not be."""
        return self.parts / ".incoming"

    @property
    def metrics(self) -> Path:
        """The folder of Feast's own counters, which begin anew with each start."""
        return self.parts / ".metrics"

    @property
    def pushed(self) -> Path:
        """The folder of what was pushed and is not in a part yet."""
        return self.parts / ".pushed"

    def turn(self, name: str, timeout: float | None = None) -> AbstractContextManager[int]:
        """Take turns with the other threads and processes that use ``name``, such as ``registry``; see ``files.lock``.

        Raises:
            files.Busy: after ``timeout`` seconds.
        """
        return files.lock(self.parts / f".{name}.lock", timeout=timeout)


class Service:
    """What handlers work with.

    Attributes:
        here: where its files are.
        store: Feast's FeatureStore; its registry is in PostgreSQL, and it reads definitions from there.
        parts: the rows of all views.
        definitions: the views and feature services in the registry.
        look: answers questions about views and their rows.
        keeper: writes and reads the online store.
    """

    def __init__(self, here: Here, store: Any) -> None:
        self.here, self.store = here, store
        self.parts = Parts(place.open_place(here.state, ROOT), here.parts)

        def path(view: str) -> Path:  # for Feast, which runs in the repository
            return Path(os.path.relpath(self.parts.glob(view), here.repository))

        self.definitions = Definitions(store, path, here.turn, self.parts.clash, self.parts.prepare)
        self.look = Look(self.definitions.views, self.definitions.services, self.parts.copies)
        online, intervals = Online(repository.valkey(), store.project), Intervals(store.registry, store.project)
        self.keeper = Keeper(here.pushed, online, self.parts, self.definitions, intervals, unavailable)

    def recover(self, say: Callable[[str], None]) -> None:
        """Bring the parts that Feast reads up to date with what is stored, after a restart or a move of the store.

        If that is not possible now, each view is brought up to date when it is used.
        """
        try:
            if moved := bring(FolderPlace(self.here.state / ROOT), self.parts.place):
                say(f"{moved:,} parts were moved from {self.here.state / ROOT} to {self.parts.place.where}.")
            if moved := self.definitions.move():
                say(f"the paths of {moved:,} views were corrected.")
            for view in self.definitions.views():
                self.parts.ensure(view)
        except Exception as error:  # noqa: BLE001 - not a reason to end
            say(f"parts could not be checked: {unavailable(error) or type(error).__name__}: {error}")

    @classmethod
    def open(cls, here: Here) -> "Service":
        """Open Feast's store; create the registry's tables if they do not exist.

        Raises:
            Exception: PostgreSQL does not answer yet: ``unavailable`` says so.
        """
        return cls(here, repository.open_store(here.repository))


def unavailable(error: BaseException) -> str:
    """Return the name of the service that ``error`` says is away: ``postgres`` or ``valkey``; else empty."""
    import psycopg
    import redis
    import sqlalchemy.exc

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, psycopg.OperationalError | sqlalchemy.exc.OperationalError | sqlalchemy.exc.TimeoutError):
            return "postgres"
        if isinstance(seen, redis.exceptions.ConnectionError | redis.exceptions.TimeoutError):
            return "valkey"
        if isinstance(seen, redis.exceptions.BusyLoadingError | redis.exceptions.OutOfMemoryError):
            return "valkey"
        seen = seen.__cause__ or seen.__context__
    return ""
