"""The supervisor of one deployment: ``python -m pantheon.engines.supervisor STATE``.

It runs what ``local/desired.json`` asks for and writes what is to ``state/services.json``. SIGHUP: what is asked for
has changed. SIGTERM: stop everything and end. One thread, so that the parent-death signal of what it starts means its
own death.
"""

import fcntl
import os
import select
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pantheon.engines import logs
from pantheon.engines.files import Home, boot, read_json, write_json
from pantheon.engines.model import COMPLETED, HEALTHY, Service, start_order
from pantheon.engines.probes import CommandProbe
from pantheon.engines.processes import Family, become_reaper, memory, send
from pantheon.engines.unit import Unit

FIRST_SAMPLE, SAMPLE = 0.2, 5.0  # seconds between looks at memory, logs and processes: doubled after a change
AT_ONCE = 0.01  # seconds between looks while something is being killed
ALIVE = ("starting", "healthy", "running", "completed")


class Supervisor:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.family = Family(home.id, os.getpid())
        self.wanted: dict[str, Service] = {}
        self.base: dict[str, str] = {}
        self.units: dict[str, Unit] = {}
        self.stopped: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.seen: list[tuple[int, int]] = []
        self.generation = 0
        self.changed_wishes, self.ending, self.dirty = True, False, True
        self.sample_due, self.pause = 0.0, FIRST_SAMPLE

    def run(self) -> None:
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        while True:
            try:
                while os.read(wake, 4096):
                    pass
            except BlockingIOError:
                pass
            now = time.monotonic()
            if self.changed_wishes:
                self.changed_wishes = False
                self.reconcile(now)
            self.reap(now)
            self.advance(now)
            self.clear()
            retired = self.retire()
            self.report()
            if self.ending and not self.units:
                return self.end()
            if now >= self.sample_due:
                self.sample(now)
            self.wait(wake, now if retired else self.sample_due)

    def wait(self, wake: int, latest: float) -> None:
        """Sleep until a signal, a probe's socket, the next thing that is due, or ``latest``."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        for unit in self.units.values():
            waited = unit.probe.waits_for() if unit.probe else None
            if waited:
                poll.register(*waited)
        due = min([latest, *(unit.next_due() for unit in self.units.values())]) - time.monotonic()
        poll.poll(max(due, AT_ONCE) * 1000)

    def reconcile(self, now: float) -> None:
        """Compare what is wanted with what is there: the same stays untouched."""
        self.wanted = {}
        if not self.ending:
            asked = read_json(self.home.desired)
            self.generation, self.base = asked["generation"], asked["base"]
            self.wanted = {raw["name"]: Service.read(raw) for raw in asked["services"]}
            self.order = [*self.wanted, *(name for name in self.units if name not in self.wanted)]
        for name, unit in self.units.items():
            service = self.wanted.get(name)
            if service and unit.service.same(service) and not unit.stopping:
                unit.service, unit.base, unit.leaving, unit.replaced = service, self.base, False, False
                unit.retry(now)
            else:
                unit.leaving, unit.replaced = True, service is not None
        for name, service in self.wanted.items():
            if name not in self.units:
                self.units[name] = Unit(service, self.home, self.base)
        self.dirty = True

    def reap(self, now: float) -> None:
        """Take the exit status of every child that has ended, adopted orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for unit in self.units.values():
                if unit.process and unit.process.pid == pid:
                    unit.exited(os.waitstatus_to_exitcode(status), now)
                elif isinstance(unit.probe, CommandProbe) and unit.probe.process and unit.probe.process.pid == pid:
                    unit.probe.reaped(os.waitstatus_to_exitcode(status))

    def advance(self, now: float) -> None:
        for name in start_order({name: unit.service for name, unit in self.units.items()}):
            unit = self.units[name]
            before = unit.state
            if unit.leaving and not unit.stopping and not self.needed(name):
                unit.stop(now)
            unit.advance(now, self.blocked(unit))
            if unit.state != before and unit.state in ("healthy", "running"):
                self.pause, self.sample_due = (
                    FIRST_SAMPLE,
                    now + FIRST_SAMPLE,
                )  # know its processes soon, should we be killed

    def needed(self, name: str) -> bool:
        """Whether a service that is still to stop needs ``name``, so that ``name`` stops later."""
        return any(unit.leaving and not unit.gone and name in unit.service.depends_on for unit in self.units.values())

    def blocked(self, unit: Unit) -> str:
        """What ``unit`` waits for before its start, in words."""
        for name, condition in unit.service.depends_on.items():
            other = self.units.get(name)
            if not other:
                continue
            if other.leaving:
                return f"waits for {name} to be replaced"
            state = f", which {other.state}: {other.why}" if other.state == "failed" else ""
            if condition == HEALTHY and other.state != "healthy":
                return f"waits for {name} to be healthy{state}"
            if condition == COMPLETED and other.state != "completed":
                return f"waits for {name} to complete{state}"
            if other.state not in ALIVE and not other.process:
                return f"waits for {name} to start{state}"
        return ""

    def mains(self) -> dict[int, str]:
        units = self.units.items()
        found = {unit.process.pid: name for name, unit in units if unit.process}
        return found | {unit.probe.process.pid: name for name, unit in units if unit.probe and unit.probe.process}

    def clear(self) -> None:
        """Kill what ended services left behind; such a service goes on when nothing of it is left."""
        for name, unit in self.units.items():
            if unit.clearing:
                left = self.family.scan(self.mains(), orphans=name).get(name, [])
                for process in left:
                    send(process, signal.SIGKILL)
                if not left:
                    unit.cleared()

    def retire(self) -> bool:
        """Replace or forget services that have stopped; whether there were any, since others may wait for that."""
        gone = [(name, unit) for name, unit in self.units.items() if unit.gone]
        for name, unit in gone:
            self.dirty = True
            del self.units[name]
            if name in self.wanted:
                self.units[name] = Unit(self.wanted[name], self.home, self.base)
            elif self.ending:
                self.stopped[name] = unit.record()
        return bool(gone)

    def report(self) -> None:
        """Write services.json when something changed."""
        if not self.dirty and not any(unit.changed for unit in self.units.values()):
            return
        found = self.stopped | {name: unit.record() for name, unit in self.units.items()}
        records = [found[name] for name in self.order if name in found]
        try:
            write_json(
                self.home.services,
                {
                    "updated": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "generation": self.generation,
                    "boot": boot(),
                    "supervisor": os.getpid(),
                    "services": records,
                },
            )
        except OSError as error:  # a full disk must not take the services down; tried again at the next look
            print(f"cannot write {self.home.services}: {error}", file=sys.stderr, flush=True)
            return
        self.dirty = False
        for unit in self.units.values():
            unit.changed = False

    def sample(self, now: float) -> None:
        self.sample_due = now + self.pause
        self.pause = min(2 * self.pause, SAMPLE)
        if not self.home.alive.exists():
            self.ending = self.changed_wishes = True  # somebody deleted the deployment under us: stop all
            self.sample_due = now
            return
        found = self.family.scan(self.mains())
        for name, unit in self.units.items():
            used = memory(process.pid for process in found.get(name, []))
            self.dirty = self.dirty or abs(used - unit.memory) > 1_000_000
            unit.memory = used
        try:
            seen = sorted(process.key for processes in found.values() for process in processes)
            if seen != self.seen:
                write_json(self.home.processes, {"boot": boot(), "processes": seen})
                self.seen = seen
            for name in self.units:
                logs.bound(self.home.log(name))
        except OSError as error:
            print(f"cannot write to {self.home.state}: {error}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Kill every descendant that belonged to no service, until none is left."""
        while left := [process for found in self.family.scan({}).values() for process in found]:
            for process in left:
                send(process, signal.SIGKILL)
            time.sleep(AT_ONCE)
            self.reap(time.monotonic())


def hold(path: Path) -> IO[bytes]:
    """The supervisor's lock; others ask for it for an instant to see whether one lives."""
    file = path.open("a+b")
    for _ in range(500):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(AT_ONCE)
    raise SystemExit(f"another supervisor holds {path}")


def main() -> None:
    home = Home(Path(sys.argv[1]))
    supervisor = Supervisor(home)

    def wishes_changed(*_: object) -> None:
        supervisor.changed_wishes = True

    def end(*_: object) -> None:
        supervisor.ending = supervisor.changed_wishes = True

    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGHUP, wishes_changed)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    become_reaper()
    lock = hold(home.alive)
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    supervisor.run()


if __name__ == "__main__":
    main()
