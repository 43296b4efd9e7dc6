"""The local engine's files in a deployment's state folder, and how two processes share them."""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Home:
    """The paths. ``local/`` is the engine's own; ``state/services.json`` and ``logs/`` are for everybody."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.local = state / "local"
        self.desired = self.local / "desired.json"  # what `up` wants: generation, surroundings, services
        self.change = self.local / "change.lock"  # held while `up` or `down` changes what is wanted
        self.alive = self.local / "supervisor.lock"  # held by the supervisor as long as it lives; holds its pid
        self.processes = self.local / "processes.json"  # what the supervisor last saw of its processes
        self.services = state / "state" / "services.json"
        self.logs = state / "logs"

    def make(self) -> None:
        for folder in (self.local, self.services.parent, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.local.chmod(0o700)  # the surroundings may hold a proxy's password

    @property
    def id(self) -> str:
        """Names the deployment in the environment of everything it starts; another folder, another id."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:16]

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def supervisor(self) -> int:
        """The pid of the living supervisor, 0 for none. The lock tells, so a reused pid never misleads."""
        try:
            with self.alive.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or b"0")
        except FileNotFoundError:
            pass
        return 0


def boot() -> str:
    """Names the time since the machine last started, in which a pid with its start time is never reused."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Waits for the lock ``path`` and holds it; the kernel frees it when the holder dies.

    Yields:
        its descriptor: a child that is given it (``pass_fds``) holds the lock too, until it ends.
    """
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(value), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """The value, None where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
