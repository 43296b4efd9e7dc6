"""Convert Compose's resolved mapping to services of this machine. Keys that cannot keep their meaning are rejected."""

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pantheon import components, durations
from pantheon.engines import Options
from pantheon.engines.definition import keys
from pantheon.engines.definition.model import COMPLETED, HEALTHY, STARTED, Model, RawService
from pantheon.engines.definition.resolve import LOOPBACK, defining
from pantheon.engines.local.release import Sources
from pantheon.engines.local.service import Health, Service
from pantheon.errors import PantheonError

IMAGE = re.compile(r"pantheon/([a-z0-9_-]+)(:.*)?")
TOP = {"name", "services", "networks", "volumes", "secrets", "version"}
ENTRIES = {
    "deploy": {"update_config"},
    "depends_on": {"condition", "required"},
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"},
    "ports": {"name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"},
    "secrets": {"source", "target", "uid", "gid", "mode"},
    "volumes": {"type", "source", "target", "read_only", "bind", "volume", "consistency"},
    "x-local": set(keys.LOCAL),
}


class ServiceReader:
    """Reads one service.

    Args:
        options: the deployment.
        model: the resolved model that contains the service.
        environments: name of an environment → its folder, or its ``bin``.
        sources: the files of the repository.
    """

    def __init__(
        self, options: Options, model: Model, environments: Callable[[str], Path], sources: Sources, name: str
    ) -> None:
        self.sources = sources
        self.model, self.environments, self.name = model, environments, name
        self.options = options
        self.file, self.state = options.definition.absolute(), options.state.resolve()
        self.raw: RawService = model.services[name]
        self.local: dict[str, Any] = self.raw.get("x-local") or {}

    def refuse(self, what: str, cure: str = "") -> NoReturn:
        files = ", ".join(str(file) for file in defining(self.file, self.name)) or str(self.file)
        raise PantheonError(f"{files}: service {self.name}: {what}", cure)

    def check_entry(self, key: str, entry: dict[str, Any]) -> None:
        for unknown in sorted(set(entry) - ENTRIES[key]):
            self.refuse(f"the local engine does not support the key {key}.{unknown}.", "See docs/compose-keys.md.")

    def check_keys(self) -> None:
        for key in self.raw:
            if key in keys.REJECTED:
                why = keys.REJECTED[key]
                self.refuse(
                    f"the local engine does not support the key {key}.",
                    f"{why[:1].upper()}{why[1:]}." if why else "",
                )
            if key not in keys.SUPPORTED and key not in keys.IGNORED and not key.startswith("x-"):
                self.refuse(f"the local engine does not support the key {key}.", "See docs/compose-keys.md.")
        self.check_entry("x-local", self.local)
        if self.raw.get("network_mode") not in (None, "none"):
            self.refuse("the local engine does not support the key network_mode.", "Other values than none change it.")

    def service(self) -> Service:
        self.check_keys()
        restart, _, limit = str(self.raw.get("restart") or "no").partition(":")
        ports, address = self.ports()
        stop_signal = str(self.raw.get("stop_signal") or "SIGTERM")
        if stop_signal.isdecimal():
            stop_signal = signal.Signals(int(stop_signal)).name
        stop_signal = stop_signal if stop_signal.startswith("SIG") else f"SIG{stop_signal}"
        if stop_signal not in signal.Signals.__members__:
            self.refuse(f"stop_signal {stop_signal} is not a signal.")
        return Service(
            name=self.name,
            command=self.command(),
            environment=self.environment(),
            bin=self.bin(),
            folders=self.folders(),
            secrets=self.secrets(),
            health=self.health(),
            depends_on=self.depends_on(),
            restart=restart,
            restart_limit=int(limit or 0),
            ports=ports,
            address=address,
            working_dir=self.working_dir(),
            stop_signal=stop_signal,
            stop_grace_period=durations.seconds(str(self.raw.get("stop_grace_period") or "10s")),
            unprivileged=self.unprivileged(),
            task=bool(self.raw.get("profiles")),
            start_first=self.start_first(ports),
            release=self.release(),
        )

    def release(self) -> str:
        """Return a hash of the code, scripts and locks that the service runs."""
        match = IMAGE.fullmatch(str(self.raw.get("image") or ""))
        if not match:
            words = [*self.command(), *self.environment().values()]
            return self.sources.of_program(str(self.local.get("environment_name") or ""), words)
        image = components.read(self.file).images.get(match[1]) or components.Image(environments=(match[1],))
        return self.sources.of_image(image.environments, image.folders)

    def start_first(self, ports: list[int]) -> bool:
        """Return whether the service's replacement starts before the service stops."""
        deploy = self.raw.get("deploy") or {}
        self.check_entry("deploy", {key: value for key, value in deploy.items() if value})
        update = deploy.get("update_config") or {}
        for unknown in sorted(update.keys() - {"order"}):
            self.refuse(f"the local engine does not support the key deploy.update_config.{unknown}.")
        if update.get("order") != "start-first":
            return False
        if len(ports) != 1 or not self.local.get("health_url"):
            self.refuse("deploy.update_config.order is start-first.", "This needs one port and x-local.health_url.")
        return True

    def command(self) -> list[str]:
        if "command" in self.local:
            command = self.local["command"]
            arguments = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        else:
            entrypoint = self.local.get("entrypoint") or self.raw.get("entrypoint") or []
            arguments = [str(part) for part in [*entrypoint, *(self.raw.get("command") or [])]]
        if not arguments:
            self.refuse(
                "there is no command, and the local engine cannot use the image's command.",
                "Write `command` or `x-local: {command: …}`.",
            )
        return arguments

    def environment(self) -> dict[str, str]:
        both = {**(self.raw.get("environment") or {}), **(self.local.get("environment") or {})}
        return {key: str(value) for key, value in both.items() if value is not None}

    def bin(self) -> str:
        image = str(self.raw.get("image") or "")
        match = IMAGE.fullmatch(image)
        name = self.local.get("environment_name") or (match and match[1])
        if not name:
            self.refuse(
                f"the image {image!r} has no environment on this machine.", "Write `x-local: {environment_name: …}`."
            )
        folder = self.environments(str(name))
        return str(folder if folder.name == "bin" else folder / "bin")

    def unprivileged(self) -> bool:
        user = self.local.get("user", "")
        if user not in ("", "unprivileged"):
            self.refuse(f"x-local.user is {user!r}.", "Only `unprivileged` is supported.")
        return bool(user)

    def working_dir(self) -> str:
        folder = str(self.raw.get("working_dir") or "")
        if folder and not Path(folder).is_dir() and not Path(folder).is_relative_to(self.state):
            self.refuse(
                f"working_dir {folder} is not a folder of this machine.",
                "Interpolate it, such as ${STATE_DIR:-/pantheon}.",
            )
        return folder

    def folders(self) -> list[str]:
        if self.local.get("volumes", "") == "ignore":
            return []
        if "volumes" in self.local:
            self.refuse("x-local.volumes must be `ignore`.")
        folders = [self.working_dir()] if self.raw.get("working_dir") else []
        for entry in self.raw.get("volumes") or []:
            self.check_entry("volumes", entry)
            kind, target, source = entry["type"], str(entry["target"]), str(entry.get("source") or "")
            if kind == "volume" and source:
                variable = source.upper().replace("-", "_") + "_DIR"
                source = str(self.state / "volumes" / source.lower().replace("-", "_"))
                cure = f"Mount it at ${{{variable}:-{target}}}."
            elif kind == "bind":
                cure = "Interpolate both sides, such as ${PANTHEON_STATE:?}/runs:${STATE_DIR:-/pantheon}/runs."
            else:
                self.refuse(f"the local engine does not support a volume of type {kind} without a source at {target}.")
            if os.path.normpath(source) != os.path.normpath(target):
                self.refuse(f"a process cannot access {source} as {target}; both must be the same folder.", cure)
            if not Path(source).is_file():
                folders.append(source)
        return folders

    def secrets(self) -> list[str]:
        files = []
        home = self.state / "secrets"
        for entry in self.raw.get("secrets") or []:
            self.check_entry("secrets", entry)
            name, target = str(entry["source"]), str(entry.get("target") or "")
            file = (self.model.raw.get("secrets") or {}).get(name, {}).get("file")
            if not file:
                self.refuse(
                    f"the secret {name} is not read from a file.", "Write `file: ${PANTHEON_STATE}/secrets/NAME`."
                )
            plain = target in ("", name, f"/run/secrets/{name}") and file == str(home / name)
            if target != file and not plain:
                self.refuse(
                    f"the secret {name} is stored as {file} and cannot be read as {target}.",
                    "Use ${SECRETS_DIR:-/run/secrets}/NAME.",
                )
            files.append(str(file))
        return files

    def health(self) -> Health | None:
        check = self.raw.get("healthcheck") or {}
        self.check_entry("healthcheck", check)
        test, url = check.get("test") or [], str(self.local.get("health_url") or "")
        if check.get("disable") or test[:1] == ["NONE"] or not (test or url):
            return None
        command = ["/bin/sh", "-c", test[1]] if test[:1] == ["CMD-SHELL"] else test[1:]
        if url and not url.startswith("http://"):
            self.refuse(f"x-local.health_url is {url!r}.", "It must begin with http://.")
        return Health(
            command=[] if url else command,
            url=url,
            interval=durations.seconds(check.get("interval") or "30s"),
            timeout=durations.seconds(check.get("timeout") or "30s"),
            retries=int(check.get("retries") or 3),
            start_period=durations.seconds(check.get("start_period") or "0"),
            start_interval=durations.seconds(check.get("start_interval") or "0"),
        )

    def depends_on(self) -> dict[str, str]:
        conditions = {}
        services = self.model.services
        for needed, entry in (self.raw.get("depends_on") or {}).items():
            self.check_entry("depends_on", entry)
            absent = needed not in services or (services[needed].get("profiles") and not self.raw.get("profiles"))
            if absent and entry.get("required", True):
                self.refuse(
                    f"it depends on {needed}, which is not part of the model.", f"Remove the profiles of {needed}."
                )
            if absent:
                continue
            condition = entry.get("condition", STARTED)
            check = services[needed].get("healthcheck") or {}
            if condition == HEALTHY and (not check.get("test") or check.get("disable") or check["test"][0] == "NONE"):
                self.refuse(f"it waits for {needed} to be healthy, which has no health check.")
            if condition not in (STARTED, HEALTHY, COMPLETED):
                self.refuse(f"the condition {condition} is not supported.")
            conditions[needed] = condition
        return conditions

    def ports(self) -> tuple[list[int], str]:
        numbers, address = [], ""
        for entry in self.raw.get("ports") or []:
            self.check_entry("ports", entry)
            target, published, host = entry["target"], str(entry.get("published") or ""), entry.get("host_ip", "")
            if entry.get("protocol", "tcp") != "tcp":
                self.refuse(f"port {target} is not TCP.")
            if host != LOOPBACK:
                self.refuse(
                    f"port {published or target} is published on {host or 'every interface'}.",
                    f"Publish it on {LOOPBACK}.",
                )
            if published != str(target):
                self.refuse(
                    f"port {target} is published as {published or 'a random port'}; a process has one port number.",
                    "Use the same ${X_PORT:-…} on both sides.",
                )
            scheme = entry.get("app_protocol")
            address = address or (f"{scheme}://{LOOPBACK}:{target}" if scheme else f"{LOOPBACK}:{target}")
            numbers.append(int(target))
        for port in self.raw.get("expose") or []:
            number = str(port).removesuffix("/tcp")
            if not number.isdecimal():
                self.refuse(f"the exposed port {port} is not a single TCP port.")
            address = address or f"{LOOPBACK}:{number}"
            numbers.append(int(number))
        return sorted(set(numbers)), address


def check_secrets(service: Service) -> None:
    """Raise an error if a secret file of ``service`` is missing or readable by other users."""
    for file in service.secrets:
        try:
            mode = Path(file).stat().st_mode
        except OSError:
            raise PantheonError(
                f"A secret of service {service.name} is missing: {file} does not exist.",
                "Run `up`, which creates the secrets.",
            ) from None
        if mode & 0o077:
            raise PantheonError(
                f"The secret {file} of service {service.name} is readable by other users (mode {mode & 0o777:04o}).",
                f"Run chmod 600 {file}.",
            )


def services(options: Options, model: Model, environments: Callable[[str], Path]) -> dict[str, Service]:
    """Return every service of ``model`` in start order, including those with profiles.

    Raises:
        PantheonError: a key is unknown or not supported for native processes; names key, service and file.
    """
    file = options.definition.absolute()
    for key in model.raw:
        if key not in TOP and not key.startswith("x-"):
            raise PantheonError(
                f"{file}: the local engine does not know the key {key}.", "docs/compose-keys.md lists what it knows."
            )
    sources = Sources(options.root.resolve())
    result = {name: ServiceReader(options, model, environments, sources, name).service() for name in model.services}
    users: dict[int, str] = {}
    for service in (service for service in result.values() if not service.task):
        for port in service.ports:
            if port in users:
                raise PantheonError(f"{file}: services {users[port]} and {service.name} both listen on port {port}.")
            users[port] = service.name
    return result
