"""The supervisor of one deployment, started by ``pantheon.engines.local.guard``.

It runs the services in ``local/desired.json`` and writes their states to ``state/services.json``. SIGHUP: read
``desired.json`` again. SIGTERM: stop all services and exit. A write that fails, on a full disk, is repeated later. It
has one thread, because the parent-death signal of child processes is sent when the thread that started them ends.
"""

import os
import select
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime

from pantheon import files
from pantheon.engines import logs, record
from pantheon.engines.definition.model import COMPLETED, HEALTHY, start_order
from pantheon.engines.local import keeper
from pantheon.engines.local.kept import Kept
from pantheon.engines.local.paths import Home
from pantheon.engines.local.probes import CommandProbe
from pantheon.engines.local.service import Service
from pantheon.engines.local.unit import Unit
from pantheon.engines.record import Record
from pantheon.processes import Family, become_reaper, boot, memory, send

FIRST_SAMPLE_SECONDS, MAX_SAMPLE_SECONDS = 0.2, 5.0  # between checks of memory, logs, processes
LOCK_SECONDS = 5.0  # timeout for the lock: other processes hold it for an instant to check it
KILL_POLL_SECONDS = 0.01  # while processes are being killed
PID_WIDTH = 10  # of the pid in the lock file, with blanks
ALIVE = ("starting", "healthy", "running", "completed")


class Supervisor:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.family = Family(home.id, os.getpid())
        self.wanted: dict[str, Service] = {}
        self.base: dict[str, str] = {}
        self.units: dict[str, Unit] = {}
        self.kept = Kept()
        self.successors: dict[str, Unit] = {}  # start beside the running unit of the same name and replace it
        self.replaced: list[Unit] = []  # finish their clients' requests and end
        self.count = 0  # of successors
        self.stopped: dict[str, Record] = {}
        self.order: list[str] = []
        self.seen: list[tuple[int, int]] = []
        self.generation = 0
        self.desired_changed, self.ending, self.dirty = True, False, True
        self.sample_due, self.pause = 0.0, FIRST_SAMPLE_SECONDS
        self.said = ""
        self.written: tuple[int, int] | None = None  # the stamp of services.json

    def say(self, text: str) -> None:
        """Write to the supervisor's log, which may be on a full disk too; the same text only once in a row."""
        if text != self.said:
            self.said = text
            with suppress(OSError):
                os.write(2, f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n".encode())

    @property
    def all_units(self) -> list[Unit]:
        return [*self.units.values(), *self.successors.values(), *self.replaced]

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
            self.beat()
            now = time.monotonic()
            if self.desired_changed:
                self.desired_changed = False
                self.reconcile(now)
            self.reap(now)
            self.advance(now)
            self.clear()
            retired = self.retire()
            self.report()
            if self.ending and not self.all_units:
                return self.end()
            if now >= self.sample_due:
                self.sample(now)
            self.wait(wake, now if retired else self.sample_due)

    def beat(self) -> None:
        """Show that this process is not stuck: commands look at the time of this file."""
        with suppress(OSError):
            try:
                os.utime(self.home.heartbeat)
            except FileNotFoundError:
                self.home.heartbeat.touch(mode=0o600)

    def wait(self, wake: int, latest: float) -> None:
        """Sleep until a signal, an event on a probe's socket, the next due action, or ``latest``."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        for unit in self.all_units:
            events = unit.probe.waits_for() if unit.probe else None
            if events:
                poll.register(*events)
        due = min([latest, *(unit.next_due() for unit in self.all_units)]) - time.monotonic()
        poll.poll(max(due, KILL_POLL_SECONDS) * 1000)

    def reconcile(self, now: float) -> None:
        """Compare the desired services with the existing ones. Unchanged services keep running."""
        self.dirty = True  # so that services.json is written again
        if self.ending:
            self.wanted = {}
        elif desired := keeper.desired(self.home):
            self.generation, self.base = desired["generation"], desired["base"]
            self.wanted = {raw["name"]: Service.read(raw) for raw in desired["services"]}
            self.order = [*self.wanted, *(name for name in self.units if name not in self.wanted)]
        elif self.wanted:
            self.say(f"{self.home.desired} is damaged: the services that run are kept")
            return
        else:
            raise SystemExit(f"{self.home.desired} is missing or damaged: `up` writes it")
        for name, unit in self.units.items():
            service = self.wanted.get(name)
            successor = self.successors.get(name)
            if successor:
                successor.leaving = successor.stopping or not (service and successor.service.same(service))
                successor.retry(now)
            if service and unit.service.same(service) and not unit.stopping:
                unit.service, unit.base, unit.leaving, unit.replaced = service, self.base, False, False
                unit.retry(now)
            elif service and unit.service.overlaps(service) and unit.state == "healthy" and not unit.leaving:
                if not successor:
                    self.count += 1
                    self.successors[name] = Unit(service, self.home, self.base, self.kept, self.count)
            else:
                if successor:
                    successor.leaving = True
                unit.leaving, unit.replaced = True, service is not None
        for name, service in self.wanted.items():
            if name not in self.units:
                self.units[name] = Unit(service, self.home, self.base, self.kept)

    def reap(self, now: float) -> None:
        """Collect the exit status of every ended child process, including adopted orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for unit in self.all_units:
                if unit.process and unit.process.pid == pid:
                    unit.exited(os.waitstatus_to_exitcode(status), now)
                elif isinstance(unit.probe, CommandProbe) and unit.probe.process and unit.probe.process.pid == pid:
                    unit.probe.reaped(os.waitstatus_to_exitcode(status))

    def advance(self, now: float) -> None:
        for name in start_order({name: unit.service.depends_on for name, unit in self.units.items()}):
            unit = self.units[name]
            before = unit.state
            if unit.leaving and not unit.stopping and not self.needed(name):
                unit.stop(now)
            unit.advance(now, self.blocked(unit))
            if unit.state != before and unit.state in ("healthy", "running"):
                # record its processes soon, in case this process is killed
                self.pause, self.sample_due = FIRST_SAMPLE_SECONDS, now + FIRST_SAMPLE_SECONDS
        for unit in (*self.successors.values(), *self.replaced):
            if unit.leaving and not unit.stopping:
                unit.stop(now)
            unit.advance(now, self.blocked(unit))
        for name, unit in list(self.successors.items()):
            if unit.state == "healthy" and not unit.leaving:
                old, self.units[name] = self.units[name], self.successors.pop(name)
                old.leaving = True
                old.stop(now)
                self.replaced.append(old)
                self.pause, self.sample_due = FIRST_SAMPLE_SECONDS, now + FIRST_SAMPLE_SECONDS

    def needed(self, name: str) -> bool:
        """Return whether a service that has yet to stop depends on ``name``, so that ``name`` must stop later: one that
        is removed, or that runs until a replacement takes over that no longer depends on it."""

        def needs(unit: Unit) -> bool:
            after = None if unit.leaving else self.successors.get(unit.service.name)
            ends = unit.leaving or bool(after and name not in after.service.depends_on)
            return ends and not unit.gone and name in unit.service.depends_on

        return any(needs(unit) for unit in (*self.units.values(), *self.replaced))

    def blocked(self, unit: Unit) -> str:
        """Describe what ``unit`` waits for before its start; empty if it can start."""
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
        units = self.all_units
        services = {unit.process.pid: unit.key for unit in units if unit.process}
        return services | {unit.probe.process.pid: unit.key for unit in units if unit.probe and unit.probe.process}

    def clear(self) -> None:
        """Kill leftover processes of ended services; such a service continues when none is left."""
        for unit in self.all_units:
            if unit.clearing:
                left = self.family.scan(self.mains(), orphans=unit.key).get(unit.key, [])
                for process in left:
                    send(process, signal.SIGKILL)
                if not left:
                    unit.cleared()

    def retire(self) -> bool:
        """Replace or remove stopped services. Return whether there were any, since others may wait for that."""
        gone = [(name, unit) for name, unit in self.units.items() if unit.gone]
        for name, unit in gone:
            self.dirty = True
            del self.units[name]
            if name in self.wanted:
                self.units[name] = Unit(self.wanted[name], self.home, self.base, self.kept)
            elif self.ending:
                self.stopped[name] = unit.record()
        self.replaced = [unit for unit in self.replaced if not unit.gone]
        ended = [name for name, unit in self.successors.items() if unit.gone]
        for name in ended:
            del self.successors[name]
            self.desired_changed = True  # another one may be wanted
        self.kept.only([port for unit in self.all_units for port in unit.service.ports if unit.service.start_first])
        return bool(gone or ended)

    def report(self) -> None:
        """Write services.json if something changed, or if something else changed the file."""
        changed = self.dirty or any(unit.changed for unit in self.all_units)
        if not changed and self.home.stamp() == self.written:
            return
        by_name = self.stopped | {name: self.record_of(name, unit) for name, unit in self.units.items()}
        records = [by_name[name] for name in self.order if name in by_name]
        try:
            record.write(self.home.services, records, self.generation, boot(), os.getpid())
        except OSError as error:  # a full disk must not stop the services; retried in the next iteration
            self.say(f"{self.home.services} cannot be written: {error.strerror}")
            return
        self.dirty, self.written = False, self.home.stamp()
        for unit in self.all_units:
            unit.changed = False

    def record_of(self, name: str, unit: Unit) -> Record:
        """Return a service's entry in services.json: that of its successor, if it has one."""
        successor = self.successors.get(name)
        if not successor or successor.leaving:
            return unit.record()
        entry, before = successor.record(), unit.record()
        if not entry["pid"]:
            entry["pid"], entry["start"], entry["memory"] = before["pid"], before["start"], before["memory"]
        entry["why"] = "; ".join(filter(None, (entry["why"], "the one before keeps running until this one is healthy")))
        return entry

    def sample(self, now: float) -> None:
        self.sample_due = now + self.pause
        self.pause = min(2 * self.pause, MAX_SAMPLE_SECONDS)
        if not self.home.alive.exists():
            self.ending = self.desired_changed = True  # the deployment was deleted: stop all
            self.sample_due = now
            return
        families = self.family.scan(self.mains())
        for unit in self.all_units:
            used = memory(process.pid for process in families.get(unit.key, []))
            self.dirty = self.dirty or abs(used - unit.memory) > 1_000_000
            unit.memory = used
        for name in ("supervisor", *self.units):
            with suppress(OSError):  # retried at the next sample
                logs.bound(self.home.log(name))
        try:
            seen = sorted(process.key for processes in families.values() for process in processes)
            if seen != self.seen:
                files.write_json(self.home.processes, {"boot": boot(), "processes": seen})
                self.seen = seen
        except OSError as error:
            self.say(f"{self.home.processes} cannot be written: {error.strerror}")

    def end(self) -> None:
        """Kill all descendants that do not belong to a service, until none is left."""
        while left := [process for family in self.family.scan({}).values() for process in family]:
            for process in left:
                send(process, signal.SIGKILL)
            time.sleep(KILL_POLL_SECONDS)
            self.reap(time.monotonic())


def main(home: Home) -> None:
    supervisor = Supervisor(home)

    def reload(*_: object) -> None:
        supervisor.desired_changed = True

    def end(*_: object) -> None:
        supervisor.ending = supervisor.desired_changed = True

    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    become_reaper()
    try:
        lock = files.take_lock(home.alive, timeout=LOCK_SECONDS)
    except files.Busy:
        raise SystemExit(f"another supervisor is running: it holds {home.alive}") from None
    os.pwrite(lock, f"{os.getpid():<{PID_WIDTH}}".encode(), 0)  # overwriting needs no space, unlike truncating first
    os.truncate(lock, PID_WIDTH)
    supervisor.run()
