"""The Compose engine: a tier's services as containers, started and stopped by Docker Compose itself."""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pantheon.engines import (
    Event,
    OnEvent,
    Planned,
    ServiceStatus,
    docker_api,
    docker_guards,
    docker_logs,
    docker_record,
    docker_state,
    docker_task,
    logs,
)
from pantheon.engines.docker_model import Model, Project, reason, write_override
from pantheon.engines.docker_owner import hand_over, owner_of
from pantheon.engines.docker_watch import Watch, good
from pantheon.engines.files import locked, read_json, write_json
from pantheon.errors import PantheonError

LOOK = 0.1  # seconds between looks at the containers
SHOWN = 10  # log lines in an error


class ComposeEngine:
    """Runs the services of one deployment.

    Args:
        name: the deployment's name, and the Compose project's.
        state: its state folder.
        compose_file: the tier's compose file.
        port_offset: added to the default of every ``X_PORT`` variable.
        tags: variables of the images' tags, such as ``PANTHEON_SERVING_TAG``.
        images: called with the images that are needed before anything starts; builds ours and pulls others'.
        root: the repository, whose files tasks may name: the images have them at ``/app``.
        ca: certificates that services trust besides their image's own.
        echo: called with each outside command before it runs.
        overrides: more compose files, each changing what the ones before it say.
        without: components that are left out: services whose ``x-component`` is among them.
    """

    name = "compose"

    def __init__(
        self,
        name: str,
        state: Path,
        compose_file: Path,
        port_offset: int = 0,
        tags: Mapping[str, str] | None = None,
        images: Callable[[list[str]], None] | None = None,
        root: Path | None = None,
        ca: Path | None = None,
        echo: Callable[[str], None] | None = None,
        overrides: Sequence[Path] = (),
        without: Collection[str] = (),
    ) -> None:
        self.state = state.resolve()
        self.home = self.state / "compose"
        self.services_file = self.state / "state" / "services.json"
        self.images, self.root, self.ca = images or (lambda _: None), root, ca
        self.echo = echo or (lambda _: None)
        user = dict(os.environ)
        self.engine: docker_api.DockerEngine | None = None
        self.project = Project(
            name,
            self.state,
            compose_file.resolve(),
            port_offset,
            dict(tags or {}),
            user,
            "",
            self.echo,
            list(overrides),
            frozenset(without),
        )
        self.model: Model | None = None

    # what there is ----------------------------------------------------------------------------------------------------

    def connect(self) -> docker_api.Api:
        """The engine's API.

        Raises:
            PantheonError: none answers, or this user may not use it.
        """
        if not self.engine:
            self.engine = docker_api.find(self.project.user)
            self.project.host = self.engine.host
        return docker_api.Api(self.engine.host)

    def resolved(self) -> Model:
        if self.model is None:
            uid, gid = owner_of(self.state, bool(self.engine and self.engine.rootless))
            self.project.values |= {"PUID": str(uid), "PGID": str(gid)}
            self.model = self.project.resolve()
        return self.model

    def prepared(self, service: str = "") -> tuple[docker_api.Api, Model]:
        """The engine and the model, with images, folders and owners as one service, or every one, needs them."""
        api = self.connect()
        assert self.engine
        self.home.mkdir(parents=True, exist_ok=True)
        model = self.resolved()
        override = self.home / "override.yaml"
        if write_override(override, model, self.ca, self.engine.knows_start_interval, self.project.left_out):
            if override not in self.project.overrides:
                self.project.overrides.append(override)
            model = self.model = self.project.resolve()
        if service and service not in model.services:
            raise PantheonError(f"There is no service {service!r}.", f"Services: {', '.join(model.services)}.")
        self.images(model.images(service))
        self.hand_over(model)
        return api, model

    def hand_over(self, model: Model) -> None:
        sources = model.sources(self.state)
        for source in sources:
            if not source.exists():
                source.mkdir(parents=True, exist_ok=True)
        hand_over(sources, int(self.project.values["PUID"]), int(self.project.values["PGID"]))

    def record(self, found: Sequence[ServiceStatus]) -> None:
        """Write services.json for the page, whatever the umask of the one who asks."""
        docker_record.write(self.services_file, found)
        uid, gid = owner_of(self.state, bool(self.engine and self.engine.rootless))
        hand_over([self.services_file.parent], uid, gid)

    def planned(self) -> list[Planned]:
        return self.resolved().planned()

    def containers(self, api: docker_api.Api) -> dict[str, dict[str, Any]]:
        return {docker_state.service_of(each): each for each in api.containers(self.project.name)}

    # up ---------------------------------------------------------------------------------------------------------------

    def up(self, on_event: OnEvent | None = None) -> None:
        begin = time.monotonic()
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.home / "change.lock") as lock:
                api, model = self.prepared()
                if self.engine and (cost := docker_api.missing_features(self.engine)):
                    self.echo(f"# {cost}")
                docker_guards.check_foreign(api, self.project)
                digest = self.digest(api, model)
                if self.is_up(api, model, digest):
                    self.record(self.look(api, model))
                    return
                docker_guards.check_ports(api, self.project, model)
                self.compose_up(api, model, begin, on_event, lock)
                write_json(self.home / "up.json", {"digest": digest})
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted; the containers that were started go on.",
                "`up` waits for them again, `down` stops them.",
                130,
            ) from None

    def digest(self, api: docker_api.Api, model: Model) -> str:
        """Changes when the definition or an image does."""
        ids = [str((api.ask(f"/images/{image}/json") or {}).get("Id", "")) for image in model.images()]
        return " ".join([model.digest, *ids])

    def is_up(self, api: docker_api.Api, model: Model, digest: str) -> bool:
        """Whether there is nothing to do; Compose would run every one-off again."""
        if (read_json(self.home / "up.json") or {}).get("digest") != digest:
            return False
        found = {status.name: status for status in self.look(api, model)}
        return set(found) == set(model.started) and all(good(status, model) for status in found.values())

    def compose_up(self, api: docker_api.Api, model: Model, begin: float, on_event: OnEvent | None, lock: int) -> None:
        """Let Compose start what is missing, tell what happens, and wait until all is as it should be.

        Compose holds the lock too: if this process is killed it goes on, and the next command waits for it.
        """
        before = found = self.look(api, model)
        watch = Watch(model, before, on_event, begin, self.tail)
        for name in {status.name for status in before} - set(model.started):  # Compose removes it, and with it its log
            self.keep_log(name)
        words = ["up", "--detach", "--no-build", "--remove-orphans"]
        self.echo(self.project.shown(*words))
        with (self.home / "up.log").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                self.project.command("--progress", "plain", *words),
                env=self.project.surroundings(), cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True, pass_fds=(lock,),
            )  # fmt: skip
            try:
                while True:
                    code = process.poll()
                    # what Compose takes away as no longer defined may look failed on its way
                    found = [status for status in self.look(api, model) if status.name in model.started]
                    watch.tell(found)
                    if code:
                        said.seek(0)
                        watch.judge(found, over=True, failed=True)
                        raise PantheonError(
                            f"docker compose up failed: {reason(said.read())}", "Correct it and run `up` again.", 1
                        )
                    watch.judge(found, over=code == 0)
                    if code == 0 and watch.is_up(found):
                        return
                    time.sleep(LOOK)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                self.record(found)

    def tail(self, service: str) -> str:
        lines = [line.partition(" | ")[2] for line in self.logs(service, tail=SHOWN)]
        return "".join(f"\n    {service} | {line}" for line in lines) + "\n" if lines else " Its log is empty."

    # down -------------------------------------------------------------------------------------------------------------

    def down(self, on_event: OnEvent | None = None) -> None:
        if self.home.is_dir():
            self.take_down(on_event)

    def take_down(self, on_event: OnEvent | None, *more: str) -> None:
        begin = time.monotonic()
        api = self.connect()
        try:
            with locked(self.home / "change.lock") as lock:
                docker_guards.check_foreign(api, self.project)
                containers = self.containers(api)
                for service in containers:
                    self.keep_log(service)
                self.compose("down", "--remove-orphans", *more, lock=lock)
                (self.home / "up.json").unlink(missing_ok=True)
                gone = [
                    replace(status, state="stopped", why="", pid=0, memory=0, uptime=0.0)
                    for status in docker_record.read(self.services_file)
                ]
                self.record(gone)
                for service in containers:
                    if on_event:
                        on_event(Event(service, "stopped", "", time.monotonic() - begin))
        except KeyboardInterrupt:
            raise PantheonError(
                "Interrupted; containers may go on stopping.", "Run `down` again to see.", 130
            ) from None

    def destroy(self) -> None:
        """``down``, and the volumes that Docker keeps for the deployment."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.take_down(None, "--volumes")

    def compose(self, *words: str, lock: int) -> None:
        """A command on the whole project, as Docker knows it; the files may have changed since."""
        self.echo(f"docker compose -p {self.project.name} {' '.join(words)}")
        command = [self.project.command()[0], "-p", self.project.name, "--progress", "plain", *words]
        done = subprocess.run(
            command,
            env=self.project.base(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=(lock,),
        )
        if done.returncode:
            raise PantheonError(f"docker compose {words[0]} failed: {reason(done.stderr)}", "", 1)

    def keep_log(self, service: str) -> None:
        """A removed container's log is gone: keep its end."""
        lines = [line.partition(" | ")[2] for line in self.logs(service, tail=2000)]
        with logs.open_log(self.state / "logs" / f"{service}.log") as log:
            log.write("".join(f"{line}\n" for line in lines).encode())

    def write_env(self, path: Path) -> Path:
        """Make everything that plain ``docker compose`` needs, and write the values it interpolates into ``path``."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.prepared()
        given = self.project.surroundings()
        values = {key: given[key] for key in sorted(given) if key not in self.project.base()}
        path.write_text("".join(f"{key}={quoted(value)}\n" for key, value in values.items()), encoding="utf-8")
        return path

    # looking ----------------------------------------------------------------------------------------------------------

    def look(self, api: docker_api.Api, model: Model) -> list[ServiceStatus]:
        """Every container's service, in start order; without memory, which takes longer."""
        found = self.containers(api)
        addresses = {each.name: each.address for each in model.planned()}
        order = [
            *(name for name in model.services if name in found),
            *(name for name in found if name not in addresses),
        ]
        seen = [docker_state.status(found[name], addresses.get(name, ""), 0) for name in order]
        states = {status.name: (status.state, status.why) for status in seen}
        for index, status in enumerate(seen):
            if status.state == "waiting" and status.name in model.services:
                needs = model.services[status.name].get("depends_on") or {}
                seen[index] = replace(status, why=docker_state.waits_for(needs, states))
        return seen

    def status(self) -> list[ServiceStatus]:
        if not self.home.is_dir():
            return []
        api = self.connect()
        ids = {name: str(each["Id"]) for name, each in self.containers(api).items()}
        full = []
        for status in self.look(api, self.resolved()):
            memory = api.memory(ids[status.name]) if status.pid and status.name in ids else 0
            full.append(replace(status, memory=memory))
        names = {status.name for status in full}
        full += [
            replace(s, state="stopped", pid=0, memory=0, uptime=0.0)
            for s in docker_record.read(self.services_file)
            if s.name not in names
        ]
        self.record(full)
        return full

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        api = self.connect()
        names = list(self.containers(api))
        kept = {path.stem: path for path in sorted((self.state / "logs").glob("*.log"))}
        if service and service not in names and service not in kept:
            known = ", ".join(names) or "none; run `up` first"
            raise PantheonError(f"There is no service {service!r}.", f"Services: {known}.")
        chosen = [service] if service else names
        if not chosen or not set(chosen) <= set(names):  # down: what was kept
            recorded = [status.name for status in docker_record.read(self.services_file)]
            return logs.stream({n: kept[n] for n in chosen or recorded if n in kept}, False, tail)
        return docker_logs.stream(self.project, chosen, follow, tail)

    # tasks ------------------------------------------------------------------------------------------------------------

    def run_task(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> int:
        api, model = self.prepared(service)
        words = [self.inside(model, service, word) for word in command]
        return docker_task.run(
            self.project,
            api,
            service,
            words,
            environment or {},
            on_output or (lambda _: None),
            self.state / "logs" / f"{service}.log",
        )

    def inside(self, model: Model, service: str, word: str) -> str:
        """A path of this machine as the task sees it: in a mounted folder, or in the image's copy of ours."""
        seen = model.inside(service, word)
        if seen == word and self.root and word.startswith("/") and Path(word).is_relative_to(self.root / "datasets"):
            return str(Path("/app") / Path(word).relative_to(self.root))
        return seen


def quoted(value: str) -> str:
    """A value in an ``.env`` file; within double quotes Compose would interpolate a dollar sign."""
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
