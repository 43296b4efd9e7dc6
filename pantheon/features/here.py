"""Where the service and Feast's commands find things, and which service is away. Imports nothing that takes long."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError


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
