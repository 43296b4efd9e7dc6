"""The local engine: runs a compose model as native processes under a supervisor."""

import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pantheon import durations, files
from pantheon.engines import (
    Engine,
    OnEvent,
    OnOutput,
    Options,
    Planned,
    ServiceStatus,
    logs,
    no_service,
    ports,
    silent,
    sizes,
)
from pantheon.engines import record as records
from pantheon.engines.definition.model import Model
from pantheon.engines.definition.resolve import LOOPBACK, Definition
from pantheon.engines.local import keeper, read
from pantheon.engines.local.making import Making, environment_of
from pantheon.engines.local.paths import Home
from pantheon.engines.local.service import Service
from pantheon.engines.local.task import run
from pantheon.engines.owner import hand_over
from pantheon.engines.progress import MAX_LOG_LINES, Observation, Progress, last_lines
from pantheon.engines.record import Record
from pantheon.errors import PantheonError, describe
from pantheon.processes import Family, Process, descendants, find, memory, tag, tagged, uptime

APPLY_SECONDS = 2.0  # for the supervisor to apply a desired state, before `up` looks for the reason
POLL_SECONDS = 0.02  # between two checks of the services while `up` waits
PASSED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


class LocalEngine(Engine):
    """Runs the services of one deployment.

    Args:
        options: the deployment.
        environments: name of an environment (``serving``) → its folder.
        make: called with names of environments; creates the missing ones.
    """

    name = "local"
    on_host = True
    keeper = "the supervisor"

    def __init__(
        self,
        options: Options,
        environments: Callable[[str], Path],
        make: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self.options, self.environments, self.make = options, environments, make
        self.home = Home(options.state.resolve())
        passed = {key: value for key, value in options.environment.items() if key in ("PATH", "HOME")}
        self.definition = Definition(options, self.interpolation, passed, self.places())
        self._model: Model | None = None
        self._services: dict[str, Service] = {}

    # the definition ---------------------------------------------------------------------------------------------------

    def places(self) -> dict[str, str]:
        """Return the paths on this machine of folders that have fixed paths in containers."""
        state = str(self.home.state)
        return {
            "STATE_DIR": state,
            "SECRETS_DIR": f"{state}/secrets",
            "SOURCE_ROOT": str(self.options.root.resolve()),
        }

    def interpolation(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the values of ``variables`` (name → default in the files) for processes of this machine.

        Hosts are the loopback address, folders are in the state folder, environments are those of this machine, and
        ports are moved by ``PORT_OFFSET``, unless the user's environment sets them.
        """
        values: dict[str, str] = {}
        user = self.options.environment
        for name, default in variables.items():
            if name.endswith("_HOST"):
                values[name] = LOOPBACK
            elif name.endswith("_DIR"):
                values[name] = f"{self.home.state}/volumes/{name[:-4].lower()}"
            elif name.endswith("_ENVIRONMENT"):
                values[name] = str(self.environments(name[:-12].lower()))
            elif name in user:
                values[name] = user[name]
            elif name.endswith("_PORT") and default and "$" not in default:  # nested: another variable's
                if not default.isdecimal():
                    raise PantheonError(
                        f"{self.definition.file}: the default of {name} is {default!r}, which is not a port.",
                        "Write a number.",
                    )
                values[name] = str(int(default) + self.options.port_offset)
        return values

    def model(self) -> Model:
        if self._model is None:  # calls docker-compose twice, which takes half a second
            model = self.definition.resolve()
            self._services = read.services(self.options, model, self.environments)
            self._model = model
        return self._model

    def services(self) -> dict[str, Service]:
        """Return the services in start order, including those with profiles."""
        self.model()
        return self._services

    def planned(self) -> list[Planned]:
        return [
            Planned(
                service.name,
                Path(service.bin).parent.name,
                tuple(service.ports),
                service.address,
                service.task,
                inside=service.address,
            )
            for service in self.services().values()
        ]

    def prepare(self, environments: Collection[str]) -> None:
        self.make(list(dict.fromkeys(environments)))

    def base(self) -> dict[str, str]:
        """Return the variables inherited from the user's shell: locale, time zone, proxies, certificates."""
        kept = {key: value for key, value in self.options.environment.items() if key in PASSED}
        if any(key.lower().endswith("_proxy") for key in kept):
            for key in ("NO_PROXY", "no_proxy"):
                kept[key] = ",".join(filter(None, (kept.get(key, ""), LOOPBACK, "localhost")))
        return {"LANG": "C.UTF-8", **kept, "PYTHONPATH": str(self.options.root.resolve())}

    # up ---------------------------------------------------------------------------------------------------------------

    def up(self, on_event: OnEvent | None = None, environments: Collection[str] = ()) -> None:
        with Making(self.make, environments) as making:
            self.start(Progress(on_event, self.last_lines), making)
            making.wait()

    def start(self, progress: Progress, making: Making) -> None:
        """Start every service as soon as its environment is ready, and wait until all are healthy."""
        started = False
        try:
            model = self.model()
            wanted = {name: self._services[name] for name in model.started}
            for service in wanted.values():
                read.check_secrets(service)
            self.home.make()
            self.take_back(wanted)
            running = {entry["name"] for entry in self.records() if entry["pid"]}
            making.wait([environment_of(service) for name, service in wanted.items() if name in running])
            with files.lock(self.home.change):
                if revived := keeper.revive(self.home):
                    progress.tell("supervisor", "restarting", revived)
                if replaced := keeper.replace_other_format(self.home, lambda: None):
                    progress.tell("supervisor", "restarting", replaced)
                alive = self.home.supervisor()
                if not alive and not replaced:  # replacing does not end tasks
                    keeper.clean(self.home)
                self.check_ports(wanted, bool(alive))
                started = True
                requested = making.startable(wanted)
                generation = keeper.want(self.home, self.base(), [wanted[name] for name in requested])
                since = time.monotonic()

            def observe() -> Observation:
                nonlocal requested, generation, since
                if len(requested) < len(wanted) and requested != (now := making.startable(wanted)):
                    with files.lock(self.home.change):
                        if keeper.generation(self.home) != generation:
                            raise PantheonError("Another command changed the services.", "Run `up` again.", 1)
                        requested = now
                        generation = keeper.want(self.home, self.base(), [wanted[name] for name in requested])
                        since = time.monotonic()
                seen = self.observe({name: wanted[name] for name in requested}, generation, since)
                return seen if len(requested) == len(wanted) else replace(seen, final=False, settled=False)

            progress.until_up(model, observe, POLL_SECONDS)
        except OSError as error:  # such as a full disk, or a folder of another user
            raise describe(error, self.home.state) from error
        except KeyboardInterrupt:
            if not started:
                raise PantheonError("Interrupted before anything was started.", status=130) from None
            raise PantheonError(
                "Interrupted. The services continue to start in the background.",
                "Run `up` to wait for them, or `down` to stop them.",
                130,
            ) from None

    def observe(self, wanted: Mapping[str, Service], generation: int, since: float) -> Observation:
        """Return the services' status since the supervisor applied the desired state ``generation``.

        Args:
            since: when it was asked to, monotonic seconds.
        """
        alive = self.home.supervisor()
        current = records.read(self.home.services)
        applied = current["generation"] >= generation
        seen = [records.status_of(record) for record in current["services"]] if applied else []
        broken = ""
        if not alive:
            log = last_lines("supervisor", logs.last_lines(self.home.log("supervisor"), MAX_LOG_LINES))
            broken = f"The supervisor ended while `up` was waiting.{log}"
        elif not applied and time.monotonic() - since > APPLY_SECONDS:
            broken = keeper.unable(self.home)
        leaving = current["generation"] == generation and not {status.name for status in seen} <= wanted.keys()
        return Observation(seen, final=applied, settled=applied and not leaving, broken=broken)

    def last_lines(self, service: str) -> list[str]:
        """Return the last lines of a service's log since its last start."""
        begin = next((record["log_begin"] for record in self.records() if record["name"] == service), 0)
        return logs.last_lines(self.home.log(service), MAX_LOG_LINES, begin)

    def take_back(self, wanted: Mapping[str, Service]) -> None:
        """Give files of containers back to root: root's unprivileged services can only access files of root."""
        services = [service for service in wanted.values() if service.unprivileged]
        own = (Path(path) for service in services for path in (*service.folders, *service.secrets))
        hand_over((path for path in own if path.exists() and path.is_relative_to(self.home.state)), 0, 0)

    def check_ports(self, wanted: Mapping[str, Service], alive: bool) -> None:
        """Raise an error if another process uses one of the ports."""
        own = {port for record in self.records() if record["pid"] for port in record["ports"]} if alive else set()

        def holder(port: int) -> str | None:
            who = ports.who_holds(port)
            pid = ports.holder(port) if who else None
            return None if pid and tag(pid).startswith(f"{self.home.id}/") else who

        by_port = {port: service.name for service in wanted.values() for port in service.ports}
        ports.check_free(by_port, own, self.options.port_offset, holder)

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if not self.home.local.is_dir():
            return
        progress = Progress(on_event, self.last_lines, [records.status_of(record) for record in self.records()])

        def report() -> None:
            progress.report([records.status_of(record) for record in self.records()])

        try:
            with files.lock(self.home.change):
                keeper.end(self.home, report)
                keeper.clean(self.home)
                files.remove(self.home.desired)  # nothing starts the services again
                report()
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted. The services continue to stop.", "Run `down` again to check that all have stopped.", 130
            ) from None

    def destroy(self) -> None:
        """``down``, and delete the supervisor's files; volumes are folders in the state folder."""
        self.down()
        if self.home.local.is_dir():
            with files.lock(self.home.change):
                self.home.services.unlink(missing_ok=True)
                shutil.rmtree(self.home.local)

    # status -----------------------------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        return keeper.services(self.home)

    def status(self) -> list[ServiceStatus]:
        supervisor = self.home.supervisor()
        recorded = self.records()
        mains = {record["pid"]: record["name"] for record in recorded if record["pid"]}
        family = Family(self.home.id, supervisor).scan(mains) if supervisor else {}
        return [self.status_now(record, bool(supervisor), family) for record in recorded]

    def processes(self) -> list[int]:
        return descendants(process.pid for process in tagged(self.home.id))

    def sizes(self, environments: Collection[str]) -> tuple[dict[str, int], int]:
        files = {name: sizes.of_files(self.environments(name)) for name in dict.fromkeys(environments)}
        shared = {inode: size for found in files.values() for inode, size in found.items()}
        return {name: sum(found.values()) for name, found in files.items() if found}, sum(shared.values())

    def warnings(self) -> list[str]:
        if not (trouble := keeper.trouble(self.home)):
            return []
        pid = self.home.supervisor()
        return [f"The supervisor (process {pid}) {trouble}, so no service is restarted. Run `up`: it mends that."]

    def status_now(self, record: Record, alive: bool, family: Mapping[str, list[Process]]) -> ServiceStatus:
        """Return the current status of a recorded service."""
        last = records.status_of(record)
        state, why = last.state, last.why
        members = [each for key, found in family.items() if key.partition("#")[0] == last.name for each in found]
        process = find(record["pid"]) if alive and record["pid"] else None
        if process and process.start != record["start"]:
            process = None
        if not alive and state not in ("stopped", "completed", "failed"):
            down = not self.home.desired.exists()
            state, why = "stopped", "" if down else "the supervisor was killed; `up` starts it again"
        if alive and record["pid"] and not process:
            state, why = "restarting", f"process {record['pid']} ended"
        if state == "restarting" and record["next_try"]:
            left = max(record["next_try"] - time.time(), 0.0)
            why = f"{why.partition('; next try')[0]}; next try in {durations.words(left)}"
        if state == "starting" and process:
            why = "; ".join(filter(None, (f"{durations.words(uptime(process))} so far", why)))
        return replace(
            last,
            state=state,
            why=why,
            pid=process.pid if process else 0,
            memory=memory(member.pid for member in members) if process else 0,
            uptime=uptime(process) if process else 0.0,
        )

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        names = [record["name"] for record in self.records()]
        if service and service not in names and not self.home.log(service).exists():
            raise no_service(service, names)
        chosen = [service] if service else names
        return logs.stream({name: self.home.log(name) for name in chosen}, follow, tail)

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
    ) -> int:
        services = self.services()
        if service not in services:
            raise no_service(service, services)
        read.check_secrets(services[service])
        self.home.make()
        self.options.echo(shlex.join(command))
        lines = on_output or silent
        on_lines = lines, on_errors or lines
        return run(self.home, services[service], command, self.base(), environment or {}, on_lines, input, output)
