"""The local engine: a compose model as native processes of this machine, under a supervisor of its own."""

import os
import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pantheon.engines import OnEvent, Planned, ServiceStatus, components, compose, keeper, logs, parse, ports
from pantheon.engines.docker_owner import hand_over
from pantheon.engines.durations import words
from pantheon.engines.files import Home, locked, read_json, write_json
from pantheon.engines.model import Service
from pantheon.engines.processes import Family, find, memory, tag, uptime
from pantheon.engines.tasks import run
from pantheon.engines.waiting import Waiting
from pantheon.errors import PantheonError

PASSED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


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
        without: components that are left out: services whose ``x-component`` is among them.
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
        without: Collection[str] = (),
    ) -> None:
        self.without = frozenset(without)
        self.home = Home(state.resolve())
        self.root, self.environments = root.resolve(), environments
        self.echo = echo or (lambda _: None)
        self.resolved: dict[str, Service] | None = None
        self.place = compose.Place(
            name,
            self.home.state,
            compose_file.resolve(),
            port_offset,
            dict(os.environ),
            self.echo,
            self.root,
            environments,
        )

    def services(self) -> dict[str, Service]:
        """The resolved model in start order, services with profiles included."""
        if self.resolved is None:  # two calls of Compose, half a second
            model = compose.resolve(self.place)
            services = model.get("services") or {}
            model["services"] = components.kept(services, components.left_out(services, self.without))
            self.resolved = parse.services(self.place, model, self.environments)
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
            self.take_back(wanted)
            with locked(self.home.change):
                alive = self.home.supervisor()
                if not alive:
                    keeper.clean(self.home)
                self.check_ports(wanted, bool(alive))
                generation = (read_json(self.home.desired) or {"generation": 0})["generation"] + 1
                services = [service.raw() for service in wanted.values()]
                asked = True
                write_json(self.home.desired, {"generation": generation, "base": self.base(), "services": services})
                if alive:
                    keeper.wake(alive)
                else:
                    keeper.start(self.home, self.base())
            Waiting(self.home, on_event, begin, []).until_good(wanted, generation)
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

    def take_back(self, wanted: dict[str, Service]) -> None:
        """What containers had as another user: root's unprivileged service sees root's files as its own, no others."""
        services = [service for service in wanted.values() if service.unprivileged]
        own = (Path(path) for service in services for path in (*service.folders, *service.secrets))
        hand_over((path for path in own if path.exists() and path.is_relative_to(self.home.state)), 0, 0)

    def check_ports(self, wanted: dict[str, Service], alive: bool) -> None:
        """Refuse to start where another process holds a port."""
        records = self.records() if alive else []
        own = {port for record in records if record["pid"] for port in record["ports"]}
        for service in wanted.values():
            for port in service.ports:
                if port in own or not (who := ports.who_holds(port)) or self.is_ours(ports.holder(port)):
                    continue
                base = {port - self.place.port_offset for each in wanted.values() for port in each.ports}
                offset = ports.free_offset(base)
                free = f"use PORT_OFFSET={offset}, at which every port is free" if offset >= 0 else "set another port"
                raise PantheonError(
                    f"Port {port} of {service.name} is taken by {who}.", f"Stop that process, or {free}.", 1
                )

    def is_ours(self, pid: int | None) -> bool:
        return pid is not None and tag(pid).startswith(f"{self.home.id}/")

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if not self.home.local.is_dir():
            return
        waiting = Waiting(self.home, on_event, time.monotonic(), self.records())
        try:
            with locked(self.home.change):
                keeper.end(self.home, waiting)
                keeper.clean(self.home)
                waiting.tell(self.records())
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted; the services go on stopping.", "Run `down` again to see that nothing is left.", 130
            ) from None

    def destroy(self) -> None:
        """``down``, and the supervisor's own files; volumes are folders of the state folder."""
        self.down()
        if self.home.local.is_dir():
            with locked(self.home.change):
                self.home.services.unlink(missing_ok=True)
                shutil.rmtree(self.home.local)

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
            if state == "starting" and process:
                why = "; ".join(filter(None, (f"{words(uptime(process))} so far", why)))
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
