"""The process that keeps the services' addresses on 127.0.0.1: start it, find it, end it. See ``keeper``."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pantheon import files
from pantheon.engines import ports as machine_ports
from pantheon.engines.helm.keeper import Wanted
from pantheon.engines.helm.kube import Kube
from pantheon.engines.record import read_derived
from pantheon.errors import PantheonError
from pantheon.processes import Process, find, send

ANSWER_SECONDS = 20.0
END_SECONDS = 5.0
POLL_SECONDS = 0.1


class Forwards:
    """The forwards of one deployment.

    Args:
        home: the engine's folder in the deployment's state folder.
    """

    def __init__(self, home: Path, kube: Kube) -> None:
        self.kube, self.file, self.pid = kube, home / "forwards.json", home / "forwards.pid.json"
        self.log = home / "forwards.log"

    def keeper(self) -> Process | None:
        """Return the process that keeps the forwards; None if it does not run."""
        found = read_derived(self.pid, {"pid": 0, "start": 0}) or {}
        process = find(int(found.get("pid") or 0)) if found.get("pid") else None
        return process if process and process.start == found["start"] else None

    def wanted(self) -> Wanted | None:
        """Return what the process was told; None if it was told nothing."""
        found = read_derived(self.file, {"command": [], "forwards": {}})
        return Wanted(command=found["command"], forwards=found["forwards"]) if found and found["forwards"] else None

    def keep(self, forwards: Mapping[str, Mapping[int, int]], offset: int) -> None:
        """Forward exactly these ports from now on, and wait until they accept connections.

        Args:
            forwards: service → port of this machine → port of the service.

        Raises:
            PantheonError: another process uses a port, or a forward does not start.
        """
        named = {name: [f"{here}:{there}" for here, there in ports.items()] for name, ports in forwards.items()}
        command = [self.kube.find("kubectl"), *self.kube.kubectl("port-forward")[1:]]
        wanted = Wanted(command=command, forwards=named)
        before = self.wanted() if self.keeper() else None
        ours = {port.partition(":")[0] for ports in (before or wanted)["forwards"].values() for port in ports}
        if before is None:
            ours = set()
        every = {here: name for name, ports in forwards.items() for here in ports}
        machine_ports.check_free({port: name for port, name in every.items() if str(port) not in ours}, (), offset)
        if wanted != before:
            files.write_json(self.file, wanted)
            if before is None and named:
                self.start()
        end = time.monotonic() + ANSWER_SECONDS
        while silent := [port for port in every if not _accepts(port)]:
            if time.monotonic() > end:
                raise PantheonError(
                    f"{every[silent[0]]} cannot be reached at 127.0.0.1:{silent[0]}: {self.said()}",
                    "Run `up` again.",
                    1,
                )
            time.sleep(POLL_SECONDS)

    def start(self) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-S", "-P", "-m", "pantheon.engines.helm.keeper", str(self.file)],
                env={**self.kube.own(), "PYTHONPATH": str(Path(__file__).parents[3])},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        started = find(process.pid)
        if started is None:
            raise PantheonError(f"The addresses on 127.0.0.1 cannot be kept: {self.said()}", "Run `up` again.", 1)
        files.write_json(self.pid, {"pid": started.pid, "start": started.start})

    def said(self) -> str:
        """Return the last thing that kubectl said."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip("\0 \n").splitlines()
        except OSError:
            lines = []
        return lines[-1].strip("\0") if lines else "kubectl port-forward said nothing"

    def end(self) -> None:
        """End the process and its forwards."""
        if process := self.keeper():
            send(process, signal.SIGTERM)
            end = time.monotonic() + END_SECONDS
            while self.keeper() and time.monotonic() < end:
                time.sleep(POLL_SECONDS / 4)
            if process := self.keeper():
                send(process, signal.SIGKILL)
        for file in (self.file, self.pid):
            file.unlink(missing_ok=True)


def _accepts(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
