"""Deployments to run real processes in. After every test nothing of its deployment may be left running."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.engines import Engine, Event, Options, ServiceStatus
from pantheon.engines.local.engine import LocalEngine
from pantheon.processes import find, table, tag
from tests.support import ROOT
from tests.support.ports import free_port_offset
from tests.support.waiting import until

FIXTURE = Path(__file__).parent / "engine_fixture"


PASSWORD = "moonlight4711"


class Deployment:
    """One deployment in a folder of its own."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        self.folder, self.name = folder, name
        self.state = folder / name
        self.file = folder / f"{name}.yaml"
        self.events: list[Event] = []
        self.echoed: list[str] = []
        secrets = self.state / "secrets"
        secrets.mkdir(parents=True, mode=0o700)
        (secrets / "postgres").write_text(PASSWORD)
        (secrets / "postgres").chmod(0o600)
        self.offset = free_port_offset((5433, 8090, 8091))

    def engine(self, file: Path | None = None) -> Engine:
        """An engine on the compose file ``file``; each call is as a new command line would have it."""
        return self.local(file)

    def local(self, file: Path | None = None) -> LocalEngine:
        return LocalEngine(self.options(file), lambda _: Path(sys.prefix))

    def options(self, file: Path | None = None, without: tuple[str, ...] = ()) -> Options:
        return Options(self.name, self.state, file or self.file, ROOT, self.offset, without, self.echoed.append)

    def write(self, **services: dict[str, Any]) -> Engine:
        """An engine on a model of ``services``; ``actor`` is short for a command, and all run in this environment."""
        for service in services.values():
            if "actor" in service:
                service["command"] = [sys.executable, "-S", str(FIXTURE / "actor.py"), *map(str, service.pop("actor"))]
            service.setdefault("image", "pantheon/dev")
        self.file.write_text(yaml.safe_dump({"name": self.name, "services": services}))
        return self.engine()

    def up(self, **services: dict[str, Any]) -> Engine:
        engine = self.write(**services)
        engine.up(self.events.append)
        return engine

    def status(self) -> dict[str, ServiceStatus]:
        return {status.name: status for status in self.engine().status()}

    def pid(self, service: str) -> int:
        return self.status()[service].pid

    def kill(self, service: str) -> int:
        """kill -9 of a service's main process; its pid."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_supervisor(self) -> None:
        pid = self.local().home.supervisor()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not find(pid))

    def left(self) -> list[str]:
        """Every process that has to do with the deployment: by tag, by command line, by folder."""
        identity = self.local().home.id
        found = []
        for pid in table():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                folder = str(Path(f"/proc/{pid}/cwd").readlink())
            except OSError:
                continue
            if pid != os.getpid() and (tag(pid).startswith(identity) or str(self.state) in command + folder):
                found.append(f"{pid} {command}")
        return found


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Callable[[str], Deployment]]:
    """Makes deployments by name; takes them all down at the end and looks for what they left."""
    made: list[Deployment] = []

    def make(name: str) -> Deployment:
        made.append(Deployment(folder, name))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIXTURE", str(FIXTURE))
        try:
            yield make
        finally:
            for deployment in made:
                deployment.local(FIXTURE / "compose.yaml").down()
    assert [line for deployment in made for line in deployment.left()] == []
