"""The Compose engine: runs a tier's services as containers, which Docker Compose starts and stops."""

import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.engines import Engine, Event, OnEvent, OnOutput, Options, Planned, ServiceStatus, no_service, silent
from pantheon.engines import logs as log_files
from pantheon.engines import record as records
from pantheon.engines.compose import client, keepers, logs, networks, project, state, survivors, task
from pantheon.engines.definition.model import Model
from pantheon.engines.definition.resolve import Definition, reason
from pantheon.engines.owner import hand_over, owner_of
from pantheon.engines.progress import MAX_LOG_LINES, Observation, Progress, is_up
from pantheon.errors import PantheonError
from pantheon.processes import descendants

POLL_SECONDS = 0.1  # between two checks of the containers
AHEAD_SECONDS = 180  # for a service that must be healthy before another one is replaced


class ComposeEngine(Engine):
    """Runs the services of one deployment. The deployment's name is the name of the Compose project.

    Args:
        options: the deployment.
        tags: variables with the images' tags, such as ``PANTHEON_SERVING_TAG``.
        images: called with the required images before services start; builds Pantheon's and pulls the others.
        ca: certificates that services trust in addition to those of their image.
        overrides: more compose files, in order; later ones override earlier ones.
    """

    name = "compose"
    by_hand = True
    isolated = True
    keeper = "Docker"

    def __init__(
        self,
        options: Options,
        tags: Mapping[str, str] | None = None,
        images: Callable[[list[str]], None] = lambda _: None,
        ca: Path | None = None,
        overrides: Sequence[Path] = (),
    ) -> None:
        self.options, self.images, self.ca = options, images, ca
        self.state = options.state.resolve()
        self.home = self.state / "compose"
        self.services_file = self.state / "state" / "services.json"
        self.docker: client.DockerEngine | None = None
        own = {key: value for key, value in options.environment.items() if key in project.PASSED}
        self.definition = Definition(
            options, project.interpolation(options), own, dict(tags or {}), [path.absolute() for path in overrides]
        )
        self._model: Model | None = None

    # the project ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.connect()

    def survivors(self) -> dict[int, str]:
        return survivors.find(self.state)

    def connect(self) -> client.Api:
        """Return the Docker engine's API.

        Raises:
            PantheonError: no engine answers, or the user has no access.
        """
        if not self.docker:
            self.docker = client.find(self.options.environment)
            self.definition.own["DOCKER_HOST"] = self.docker.host
        return client.Api(self.docker.host)

    def owner(self) -> tuple[int, int]:
        """Return ``(uid, gid)`` of the containers."""
        return owner_of(self.state, bool(self.docker and self.docker.rootless))

    def resolved(self) -> Model:
        if self._model is None:
            uid, gid = self.owner()
            self.definition.values |= {"PUID": str(uid), "PGID": str(gid)}
            self._model = self.definition.resolve()
        return self._model

    def prepared(self, service: str = "", start: bool = False) -> tuple[client.Api, Model]:
        """Prepare the images, folders, networks and file owners for one service, or for all.

        Args:
            start: the services are started next.

        Returns:
            The API and the model.
        """
        api = self.connect()
        assert self.docker
        self.home.mkdir(parents=True, exist_ok=True)
        model = self.resolved()
        override = self.home / "override.yaml"
        shut = networks.changes(api, model, self.options.name, self.home / "networks.json", start)
        kept = keepers.added(model, self.options.name, self.state / "volumes", project.Reset())
        if project.write_override(override, model, self.ca, self.docker.supports_start_interval, shut, kept):
            if override not in self.definition.overrides:
                self.definition.overrides.append(override)
            model = self._model = keepers.left_out(self.definition.resolve(), model)
        if service and service not in model.services:
            raise no_service(service, model.services)
        self.images(project.images(model, service))
        keepers.name_images(api, model, self.options.name)
        sources = project.sources(model, self.state)
        project.check_sources(sources, self.state)
        for source in sources:
            if not source.exists():
                source.mkdir(parents=True, exist_ok=True)
        hand_over(sources, *self.owner())
        project.let_read(model, self.options.root, self.owner()[0])
        return api, model

    def record(self, services: Sequence[ServiceStatus]) -> None:
        """Write services.json so that the page can read it, independently of the user's umask."""
        records.write(self.services_file, [records.record_of(status) for status in services])
        hand_over([self.services_file.parent], *self.owner())

    def planned(self) -> list[Planned]:
        return project.planned(self.resolved())

    def prepare(self, environments: Collection[str]) -> None:
        self.connect()
        self.images(list(dict.fromkeys(plan.image for plan in self.planned() if plan.environment in environments)))

    def containers(self, api: client.Api) -> dict[str, dict[str, Any]]:
        """Return the ``inspect`` data of every service's container, without those that keep a port open."""
        found = api.containers(self.options.name)
        return {state.service_of(container): container for container in found if not keepers.keeps(container)}

    # up ---------------------------------------------------------------------------------------------------------------

    def up(self, on_event: OnEvent | None = None, environments: Collection[str] = ()) -> None:
        self.prepare(environments)
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            with files.lock(self.home / "change.lock") as held:
                api, model = self.prepared(start=True)
                if self.docker and (cost := client.missing_features(self.docker)):
                    self.options.echo(f"# {cost}")
                project.check_foreign(api, self.options)
                digest = self.digest(api, model)
                before = self.services_now(api, model)
                if self.is_done(before, model, digest):  # Compose would run all one-offs again
                    self.record(before)
                    return
                project.check_ports(api, self.options, model)
                hung = [status.name for status in before if status.state == "failed" and status.pid]
                if hung:  # Docker restarts containers that ended, but not containers that hang
                    self.compose("restart", *hung, held=held)
                if own := keepers.without(self.containers(api), model):  # they hold the ports themselves
                    self.compose("rm", "--stop", "--force", *own, held=held)
                for services in keepers.ahead(model, self.containers(api)):
                    self.start_ahead(services, held)
                self.compose_up(api, model, Progress(on_event, self.last_lines, before), held)
                files.write_json(self.home / "up.json", {"digest": digest})
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted. The started containers continue to run.",
                "Run `up` to wait for them, or `down` to stop them.",
                130,
            ) from None

    def start_ahead(self, arguments: Sequence[str], held: int) -> None:
        """Have Compose start some services, and wait until they are healthy; what fails, ``compose_up`` reports."""
        words = ["up", "--detach", "--no-build", "--wait", "--wait-timeout", str(AHEAD_SECONDS), *arguments]
        self.options.echo(self.definition.shown(*words))
        subprocess.run(
            self.definition.command("--progress", "plain", *words),
            env=self.definition.environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            pass_fds=(held,),
        )

    def digest(self, api: client.Api, model: Model) -> str:
        """Return a text that changes if the definition or an image changes."""
        ids = [str((api.ask(f"/images/{image}/json") or {}).get("Id", "")) for image in project.images(model)]
        return " ".join([model.digest, *ids])

    def is_done(self, services: Sequence[ServiceStatus], model: Model, digest: str) -> bool:
        """Return whether `up` has nothing to do."""
        same = records.read_derived(self.home / "up.json", {"digest": ""}) == {"digest": digest}
        return same and {status.name for status in services} == set(model.started) and is_up(services, model)

    def compose_up(self, api: client.Api, model: Model, progress: Progress, held: int) -> None:
        """Have Compose start the missing services, and wait until all are up.

        Args:
            held: the lock's file descriptor. Compose inherits it: if this process is killed, Compose continues, and the
                next command waits for it.
        """
        for name in set(progress.reported) - set(model.started):  # Compose removes the container and its log
            self.keep_log(name)
        arguments = ["up", "--detach", "--no-build", "--remove-orphans"]
        self.options.echo(self.definition.shown(*arguments))
        services: list[ServiceStatus] = []
        with (self.home / "up.log").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                self.definition.command("--progress", "plain", *arguments),
                env=self.definition.environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, pass_fds=(held,),
            )  # fmt: skip

            def observe() -> Observation:
                code = process.poll()
                # services that Compose removes may appear as failed while it removes them
                services[:] = [status for status in self.services_now(api, model) if status.name in model.started]
                broken = ""
                if code:
                    output.seek(0)
                    broken = f"docker compose up failed: {reason(output.read())}"
                return Observation(list(services), final=code is not None, settled=code == 0, broken=broken)

            try:
                progress.until_up(model, observe, POLL_SECONDS)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                self.record(services)

    def last_lines(self, service: str) -> list[str]:
        return [line.partition(" | ")[2] for line in self.logs(service, tail=MAX_LOG_LINES)]

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if self.home.is_dir():
            self.take_down(on_event)

    def take_down(self, on_event: OnEvent | None, *more: str) -> None:
        begin = time.monotonic()
        api = self.connect()
        try:
            with files.lock(self.home / "change.lock") as held:
                project.check_foreign(api, self.options)
                containers = self.containers(api)
                for service in containers:
                    self.keep_log(service)
                self.compose("down", "--remove-orphans", *more, held=held)
                keepers.remove_names(api, self.options.name)
                (self.home / "up.json").unlink(missing_ok=True)
                self.record([stopped(status, "") for status in self.recorded()])
                for service in containers:
                    if on_event:
                        on_event(Event(service, "stopped", "", time.monotonic() - begin))
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted. Containers may continue to stop.", "Run `down` again to check.", 130
            ) from None

    def destroy(self) -> None:
        """``down``, and delete the deployment's Docker volumes."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.take_down(None, "--volumes")

    def compose(self, *arguments: str, held: int) -> None:
        """Run a Compose command on the project's containers; the files may have changed since they were created."""
        self.options.echo(f"docker compose -p {self.options.name} {' '.join(arguments)}")
        command = [self.definition.command()[0], "-p", self.options.name, "--progress", "plain", *arguments]
        done = subprocess.run(
            command,
            env=self.definition.own,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=(held,),
        )
        if done.returncode:
            raise PantheonError(f"docker compose {arguments[0]} failed: {reason(done.stderr)}", "", 1)

    def keep_log(self, service: str) -> None:
        """Save the end of a container's log, which is deleted with the container."""
        lines = [line.partition(" | ")[2] for line in self.logs(service, tail=2000)]
        with log_files.open_log(self.state / "logs" / f"{service}.log") as log:
            log.write("".join(f"{line}\n" for line in lines).encode())

    def prepare_by_hand(self, env_file: Path) -> str:
        self.home.mkdir(parents=True, exist_ok=True)
        self.prepared()
        self.record(self.recorded())
        variables = self.definition.environment()
        values = {key: variables[key] for key in sorted(variables) if key not in self.definition.own}
        if self.definition.overrides:  # read by `docker compose up` in the tier's folder
            values["COMPOSE_FILE"] = ":".join(map(str, [self.definition.file, *self.definition.overrides]))
        files.write_text(env_file, "".join(f"{key}={quoted(value)}\n" for key, value in values.items()))
        return self.definition.shown("up")

    # status -----------------------------------------------------------------------------------------------------------

    def recorded(self) -> list[ServiceStatus]:
        return [records.status_of(record) for record in records.read(self.services_file)["services"]]

    def services_now(self, api: client.Api, model: Model, memory: bool = False) -> list[ServiceStatus]:
        """Return the current status of every service that has a container, in start order.

        Args:
            memory: also measure memory, which takes longer.
        """
        containers = self.containers(api)
        addresses = {name: project.address(service) for name, service in model.services.items()}
        order = [name for name in addresses if name in containers]
        order += [name for name in containers if name not in addresses]
        seen = [state.status(containers[name], addresses.get(name, ""), 0) for name in order]
        states = {status.name: (status.state, status.why) for status in seen}
        for index, status in enumerate(seen):
            if status.state == "waiting" and status.name in model.services:
                needs = model.services[status.name].get("depends_on") or {}
                seen[index] = replace(status, why=state.waits_for(needs, states))
            if memory and status.pid:
                seen[index] = replace(status, memory=api.memory(str(containers[status.name]["Id"])))
        return seen

    def status(self) -> list[ServiceStatus]:
        if not self.home.is_dir():
            return []
        services = self.services_now(self.connect(), self.resolved(), memory=True)
        if not services and records.read(self.services_file)["on_host"]:
            return []  # another engine runs the deployment: the record is that engine's
        names = {status.name for status in services}
        services += [stopped(status, status.why) for status in self.recorded() if status.name not in names]
        self.record(services)
        return services

    def processes(self) -> list[int]:
        return descendants(self.connect().pids(self.options.name))

    def sizes(self, environments: Collection[str]) -> tuple[dict[str, int], int]:
        images = {plan.environment: plan.image for plan in self.planned() if plan.environment in environments}
        layers = {name: self.connect().layers(image) for name, image in images.items()}
        shared = {layer: size for found in layers.values() for layer, size in found.items()}
        return {name: sum(found.values()) for name, found in layers.items() if found}, sum(shared.values())

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        api = self.connect()
        names = list(self.containers(api))
        kept = {path.stem: path for path in sorted((self.state / "logs").glob("*.log"))}
        if service and service not in names and service not in kept:
            raise no_service(service, names)
        chosen = [service] if service else names
        if not chosen or not set(chosen) <= set(names):  # the deployment is down: use the saved logs
            recorded = [status.name for status in self.recorded()]
            return log_files.stream({n: kept[n] for n in chosen or recorded if n in kept}, False, tail)
        return logs.stream(self.definition, chosen, follow, tail)

    # tasks ------------------------------------------------------------------------------------------------------------

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
        api, model = self.prepared(service)
        arguments = [project.inside(model.services[service], argument, self.options.root) for argument in command]
        log = self.state / "logs" / f"{service}.log"
        lines = on_output or silent
        on_lines = lines, on_errors or lines
        return task.run(self.definition, api, service, arguments, environment or {}, on_lines, log, input, output)


def stopped(status: ServiceStatus, why: str) -> ServiceStatus:
    return replace(status, state="stopped", why=why, pid=0, memory=0, uptime=0.0)


def quoted(value: str) -> str:
    """Quote a value for an ``.env`` file; in double quotes, Compose would interpolate a dollar sign."""
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
