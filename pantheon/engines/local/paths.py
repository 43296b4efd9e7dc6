"""The local engine's files in a deployment's state folder."""

import hashlib
from contextlib import suppress
from pathlib import Path

from pantheon import files
from pantheon.processes import tag, tagged


class Home:
    """The paths. ``local/`` is private to the engine; ``state/services.json`` and ``logs/`` are shared."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.local = state / "local"
        self.desired = self.local / "desired.json"  # the desired state: generation, base environment, services
        self.change = self.local / "change.lock"  # held while `up` or `down` changes the desired state
        self.alive = self.local / "supervisor.lock"  # held by the supervisor while it runs; contains its pid
        self.processes = self.local / "processes.json"  # the supervisor's processes when it last checked
        self.heartbeat = self.local / "heartbeat"  # empty; its time is when the supervisor last did something
        self.services = state / "state" / "services.json"
        self.logs = state / "logs"

    def make(self) -> None:
        for folder in (self.local, self.services.parent, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.local.chmod(0o700)  # desired.json may contain a proxy's password

    @property
    def id(self) -> str:
        """Identifies the deployment in the environment of its processes; derived from the state folder."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:16]

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes when services.json is written; None if it does not exist."""
        try:
            status = self.services.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def supervisor(self) -> int:
        """Return the pid of the running supervisor; 0 if there is none. Uses the lock, because pids are reused."""
        if not files.is_locked(self.alive):
            return 0
        content = self.alive.read_bytes().strip()
        pid = int(content) if content.isdigit() else 0
        return pid if pid and tag(pid).startswith(f"{self.id}/") else self.holder()  # no signal to another process

    def holder(self) -> int:
        """Return the pid of the process that has the supervisor's lock open, for a lock file that was overwritten."""
        for process in tagged(self.id):
            with suppress(OSError):
                if any(str(each.readlink()) == str(self.alive) for each in Path(f"/proc/{process.pid}/fd").iterdir()):
                    return process.pid
        return 0
