"""The local engine: a compose model as native processes of this machine, under a supervisor of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pantheon.engines import Event, OnEvent, Planned, ServiceStatus, compose, logs, parse, ports
from pantheon.engines.durations import words
from pantheon.engines.files import Home, locked, read_json, write_json
from pantheon.engines.model import COMPLETED, Service
from pantheon.engines.probes import ended
from pantheon.engines.processes import SYSTEM_PATH, TAG, Family, find, memory, send, sweep, uptime
from pantheon.engines.tasks import run
from pantheon.errors import PantheonError

LOOK = 0.02  # seconds between looks at services.json
LOOP = 3  # ends in a row that make a crash loop
SHOWN = 10  # log lines in an error
PASSED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
STARTED: list[subprocess.Popen[bytes]] = []  # supervisors this process started: polled, so that none stays a zombie


class LocalEngine:
    """Runs the services of one deployment.

    Args:
        name: the deployment's name.
        state: its state folder; made where it is missing.
        compose_file: the tier's compose file.
        root: the repository, on the PYTHONPATH of every service.
        environments: the name of an environment (``serving``) → its folder.
        port_offset: added to the default of every ``X_PORT`` variable.
        echo: called with each outside command before it runs.
    """

    name = "local"

    def __init__(
        self,
        name: str,
        state: Path,
        compose_file: Path,
        root: Path,
        environments: Callable[[str], Path],
        port_offset: int = 0,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        self.home = Home(state.resolve())
        self.root, self.environments = root.resolve(), environments
        self.echo = echo or (lambda _: None)
        self.resolved: dict[str, Service] | None = None
        self.place = compose.Place(
            name, self.home.state, compose_file.resolve(), port_offset, dict(os.environ), self.echo
        )

    def services(self) -> dict[str, Service]:
        """The resolved model in start order, services with profiles included."""
        if self.resolved is None:  # two calls of Compose, half a second
            self.resolved = parse.services(self.place, compose.resolve(self.place), self.environments)
        return self.resolved

    def planned(self) -> list[Planned]:
        return [
            Planned(each.name, Path(each.bin).parent.name, tuple(each.ports), each.address, each.task)
            for each in self.services().values()
        ]

    def base(self) -> dict[str, str]:
        """What the user's shell gives to every process: locale, time zone, proxies, certificates; nothing else."""
        kept = {key: value for key, value in self.place.user.items() if key in PASSED}
        if any(key.lower().endswith("_proxy") for key in kept):
            for key in ("NO_PROXY", "no_proxy"):
                kept[key] = ",".join(filter(None, (kept.get(key, ""), "127.0.0.1", "localhost")))
        return {"LANG": "C.UTF-8", **kept, "PYTHONPATH": str(self.root)}

    # up ---------------------------------------------------------------------------------------------------------------

    def up(self, on_event: OnEvent | None = None) -> None:
        begin = time.monotonic()
        asked = False
        try:
            wanted = {name: service for name, service in self.services().items() if not service.task}
            for service in wanted.values():
                parse.check_secrets(service)
            self.home.make()
            with locked(self.home.change):
                alive = self.home.supervisor()
                if not alive:
                    self.clean()
                self.check_ports(wanted, bool(alive))
                generation = (read_json(self.home.desired) or {"generation": 0})["generation"] + 1
                services = [asdict(service) for service in wanted.values()]
                asked = True
                write_json(self.home.desired, {"generation": generation, "base": self.base(), "services": services})
                if alive:
                    os.kill(alive, signal.SIGHUP)
                else:
                    self.start_supervisor()
            self.wait(wanted, generation, begin, on_event)
        except OSError as error:  # a full disk, a folder that is not ours
            raise PantheonError(
                f"{error.strerror}: {error.filename or self.home.state}.", "Put that right.", 1
            ) from error
        except KeyboardInterrupt:
            if not asked:
                raise PantheonError("Interrupted before anything was started.", status=130) from None
            raise PantheonError(
                "Interrupted; the services go on starting in the background.",
                "`up` waits for them again, `down` stops them.",
                130,
            ) from None

    def check_ports(self, wanted: dict[str, Service], alive: bool) -> None:
        """Refuse to start where another process holds a port."""
        records = self.records() if alive else []
        own = {port for record in records if record["pid"] for port in record["ports"]}
        for service in wanted.values():
            for port in service.ports:
                if port in own or not (who := ports.who_holds(port)):
                    continue
                base = {port - self.place.port_offset for each in wanted.values() for port in each.ports}
                offset = ports.free_offset(base)
                free = f"use PORT_OFFSET={offset}, at which every port is free" if offset >= 0 else "set another port"
                raise PantheonError(
                    f"Port {port} of {service.name} is taken by {who}.", f"Stop that process, or {free}.", 1
                )

    def start_supervisor(self) -> None:
        """Start it detached and wait until it listens to signals."""
        environment = {**self.base(), "PATH": SYSTEM_PATH, TAG: f"{self.home.id}/supervisor"}
        with logs.open_log(self.home.log("supervisor")) as log:
            begin = log.seek(0, 2)
            process = subprocess.Popen(
                [sys.executable, "-S", "-P", "-m", "pantheon.engines.supervisor", str(self.home.state)],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        STARTED.append(process)
        while not self.home.supervisor():
            if process.poll() is not None:
                raise PantheonError(
                    f"The supervisor {ended(process.returncode)}.{self.tail('supervisor', begin)}",
                    "This is a fault of ours.",
                    1,
                )
            time.sleep(LOOK / 4)

    def wait(self, wanted: dict[str, Service], generation: int, begin: float, on_event: OnEvent | None) -> None:
        """Wait until every service of ``wanted`` is as it should be."""
        must_complete = {
            name for each in wanted.values() for name, condition in each.depends_on.items() if condition == COMPLETED
        }
        told: dict[str, tuple[str, int]] = {}
        while True:
            alive = self.home.supervisor()
            current = read_json(self.home.services) or {"generation": -1, "services": []}
            records = {record["name"]: record for record in current["services"]}
            if current["generation"] >= generation:
                self.tell(records.values(), told, begin, on_event)
                self.judge(wanted, records)
                leaving = current["generation"] == generation and not records.keys() <= wanted.keys()
                good = (self.good(service, records[name], name in must_complete) for name, service in wanted.items())
                if not leaving and all(good):
                    return
            if not alive:
                raise PantheonError(
                    f"The supervisor ended while `up` was waiting.{self.tail('supervisor')}",
                    "Run `up` again, or `down` to clean.",
                    1,
                )
            time.sleep(LOOK)

    def tell(self, records: Any, told: dict[str, tuple[str, int]], begin: float, on_event: OnEvent | None) -> None:
        for record in records:
            now = (record["state"], record["restarts"])
            if told.get(record["name"]) != now:
                told[record["name"]] = now
                if on_event:
                    on_event(Event(record["name"], record["state"], record["why"], time.monotonic() - begin))

    def good(self, service: Service, record: dict[str, Any], must_complete: bool) -> bool:
        state = record["state"]
        return bool(state == "completed" or (state in ("healthy", "running") and not must_complete))

    def judge(self, wanted: dict[str, Service], records: dict[str, dict[str, Any]]) -> None:
        """Raise where waiting on is of no use."""
        for name in wanted:
            record = records.get(name)
            if not record or record["state"] == "stopped":
                raise PantheonError(
                    f"{name} was stopped or taken away by another command while `up` was waiting.", "Run `up` again.", 1
                )
            loop = record["state"] == "restarting" and record["ends"] >= LOOP
            if record["state"] == "failed" or loop:
                how = "ends again and again" if loop else "failed"
                raise PantheonError(
                    f"{name} {how}: {record['why']}.{self.tail(name, record['log_begin'])}",
                    f"Correct it and run `up` again; `logs` shows all of {self.home.log(name)}; `down` stops all.",
                    1,
                )

    def tail(self, service: str, begin: int = 0) -> str:
        """The last lines of a log, for a message."""
        lines = logs.last_lines(self.home.log(service), SHOWN, begin)
        return "".join(f"\n    {service} | {line}" for line in lines) + "\n" if lines else " Its log is empty."

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if not self.home.local.is_dir():
            return
        begin, told = (
            time.monotonic(),
            {record["name"]: (record["state"], record["restarts"]) for record in self.records()},
        )
        try:
            with locked(self.home.change):
                services = (read_json(self.home.desired) or {"services": []})["services"]
                limit = begin + sum(service["stop_grace_period"] for service in services) + 15
                pid = self.home.supervisor()
                if pid:
                    os.kill(pid, signal.SIGTERM)
                while self.home.supervisor():
                    self.tell(self.records(), told, begin, on_event)
                    if time.monotonic() > limit and (supervisor := find(pid)):
                        send(supervisor, signal.SIGKILL)
                    time.sleep(LOOK)
                while pid and find(pid) and time.monotonic() < limit:  # it has let go of its lock and is about to end
                    time.sleep(LOOK / 4)
                self.clean()
                self.tell(self.records(), told, begin, on_event)
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted; the services go on stopping.", "Run `down` again to see that nothing is left.", 130
            ) from None

    def clean(self) -> None:
        """End what a killed supervisor left behind, and say of every service that it is stopped."""
        for process in STARTED:
            process.poll()
        seen = [(pid, start) for pid, start in read_json(self.home.processes) or []]
        seen += [(record["pid"], record["start"]) for record in self.records() if record["pid"]]
        left = sweep(self.home.id, seen)
        if left:
            raise PantheonError(
                f"Process {left[0].pid} cannot be killed.", "It hangs in the kernel; see `ps`, then try again.", 1
            )
        self.home.processes.unlink(missing_ok=True)
        current = read_json(self.home.services)
        if current:
            for record in current["services"]:
                if record["pid"] or record["state"] not in ("completed", "failed"):
                    record.update(state="stopped", why="", pid=0, memory=0)
            write_json(self.home.services, current)

    # looking ----------------------------------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        current = read_json(self.home.services)
        return current["services"] if current else []

    def status(self) -> list[ServiceStatus]:
        supervisor = self.home.supervisor()
        records = self.records()
        mains = {record["pid"]: record["name"] for record in records if record["pid"]}
        family = Family(self.home.id, supervisor).scan(mains) if supervisor else {}
        found = []
        for record in records:
            name, state, why = record["name"], record["state"], record["why"]
            process = find(record["pid"]) if supervisor and record["pid"] else None
            if process and process.start != record["start"]:
                process = None
            if not supervisor and state not in ("stopped", "completed", "failed"):
                state, why = "stopped", "the supervisor was killed; `up` starts it again"
            if state == "restarting":
                left = max(record["next_try"] - time.time(), 0.0)
                why = f"{why.partition('; next try')[0]}; next try in {words(left)}"
            found.append(
                ServiceStatus(
                    name=name,
                    state=state,
                    why=why,
                    address=record["address"],
                    pid=process.pid if process else 0,
                    memory=memory(each.pid for each in family.get(name, [])) if process else 0,
                    since=record["since"],
                    uptime=uptime(process) if process else 0.0,
                    restarts=record["restarts"],
                )
            )
        return found

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        names = [record["name"] for record in self.records()]
        if service and service not in names and not self.home.log(service).exists():
            raise PantheonError(
                f"There is no service {service!r}.", f"Services: {', '.join(names) or 'none; run `up` first'}."
            )
        chosen = [service] if service else names
        return logs.stream({name: self.home.log(name) for name in chosen}, follow, tail)

    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> int:
        services = self.services()
        if service not in services:
            raise PantheonError(f"There is no service {service!r}.", f"Services: {', '.join(services)}.")
        parse.check_secrets(services[service])
        self.home.make()
        self.echo(shlex.join(command))
        return run(self.home, services[service], command, self.base(), environment or {}, on_output or (lambda _: None))
