"""Reads Compose's resolved mapping as services of this machine; what would lose its meaning is refused by name."""

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pantheon.engines import durations, keys
from pantheon.engines.compose import LOOPBACK, Place, defining
from pantheon.engines.model import COMPLETED, HEALTHY, STARTED, Health, Service, start_order
from pantheon.errors import PantheonError

IMAGE = re.compile(r"pantheon/([a-z0-9_-]+)(:.*)?")
TOP = {"name", "services", "networks", "volumes", "secrets", "version"}
ENTRIES = {
    "depends_on": {"condition", "required"},
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"},
    "ports": {"name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"},
    "secrets": {"source", "target", "uid", "gid", "mode"},
    "volumes": {"type", "source", "target", "read_only", "bind", "volume", "consistency"},
    "x-local": set(keys.LOCAL),
}


class Reader:
    """Reads one service.

    Args:
        place: the deployment.
        model: the resolved model the service belongs to.
        environments: the name of an environment → its folder, or its ``bin``.
    """

    def __init__(self, place: Place, model: dict[str, Any], environments: Callable[[str], Path], name: str) -> None:
        self.place, self.model, self.environments, self.name = place, model, environments, name
        self.raw: dict[str, Any] = model["services"][name]
        self.local: dict[str, Any] = self.raw.get("x-local") or {}

    def refuse(self, what: str, cure: str = "") -> NoReturn:
        files = ", ".join(str(file) for file in defining(self.place.file, self.name)) or str(self.place.file)
        raise PantheonError(f"{files}: service {self.name}: {what}", cure)

    def known(self, key: str, entry: dict[str, Any]) -> None:
        for unknown in sorted(set(entry) - ENTRIES[key]):
            self.refuse(
                f"the local engine does not know the key {key}.{unknown}.", "docs/compose-keys.md lists what it knows."
            )

    def check_keys(self) -> None:
        for key in self.raw:
            if key in keys.REFUSED:
                why = keys.REFUSED[key]
                self.refuse(
                    f"the key {key} cannot be honoured by the local engine.",
                    f"{why[:1].upper()}{why[1:]}." if why else "",
                )
            if key not in keys.HONOURED and key not in keys.IGNORED and not key.startswith("x-"):
                self.refuse(
                    f"the local engine does not know the key {key}.", "docs/compose-keys.md lists what it knows."
                )
        self.known("x-local", self.local)

    def service(self) -> Service:
        self.check_keys()
        restart, _, limit = str(self.raw.get("restart") or "no").partition(":")
        ports, address = self.ports()
        stop_signal = str(self.raw.get("stop_signal") or "SIGTERM")
        if stop_signal.isdecimal():
            stop_signal = signal.Signals(int(stop_signal)).name
        stop_signal = stop_signal if stop_signal.startswith("SIG") else f"SIG{stop_signal}"
        if stop_signal not in signal.Signals.__members__:
            self.refuse(f"stop_signal {stop_signal} is no signal.")
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
            one_off=bool(self.raw.get(keys.ONE_OFF)),
        )

    def command(self) -> list[str]:
        if "command" in self.local:
            words = self.local["command"]
            found = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
        else:
            entrypoint = self.local.get("entrypoint") or self.raw.get("entrypoint") or []
            found = [str(word) for word in [*entrypoint, *(self.raw.get("command") or [])]]
        if not found:
            self.refuse(
                "there is no command; an image's own is not known here.", "Write `command` or `x-local: {command: …}`."
            )
        return found

    def environment(self) -> dict[str, str]:
        both = {**(self.raw.get("environment") or {}), **(self.local.get("environment") or {})}
        return {key: str(value) for key, value in both.items() if value is not None}

    def bin(self) -> str:
        image = str(self.raw.get("image") or "")
        ours = IMAGE.fullmatch(image)
        name = self.local.get("environment_name") or (ours and ours[1])
        if not name:
            self.refuse(f"no environment stands for the image {image!r}.", "Write `x-local: {environment_name: …}`.")
        folder = self.environments(str(name))
        return str(folder if folder.name == "bin" else folder / "bin")

    def unprivileged(self) -> bool:
        user = self.local.get("user", "")
        if user not in ("", "unprivileged"):
            self.refuse(f"x-local.user is {user!r}.", "Only `unprivileged` is known.")
        return bool(user)

    def working_dir(self) -> str:
        folder = str(self.raw.get("working_dir") or "")
        if folder and not Path(folder).is_dir() and not Path(folder).is_relative_to(self.place.state):
            self.refuse(
                f"its working_dir {folder} is no folder of this machine.",
                "Interpolate it, such as ${STATE_DIR:-/pantheon}.",
            )
        return folder

    def folders(self) -> list[str]:
        if self.local.get("volumes", "") == "ignore":
            return []
        if "volumes" in self.local:
            self.refuse("x-local.volumes must be `ignore`.")
        found = [self.working_dir()] if self.raw.get("working_dir") else []
        for entry in self.raw.get("volumes") or []:
            self.known("volumes", entry)
            kind, target, source = entry["type"], str(entry["target"]), str(entry.get("source") or "")
            if kind == "volume" and source:
                variable = source.upper().replace("-", "_") + "_DIR"
                source = str(self.place.state / "volumes" / source.lower().replace("-", "_"))
                cure = f"Mount it at ${{{variable}:-{target}}}."
            elif kind == "bind":
                cure = "Interpolate both sides, such as ${PANTHEON_STATE:?}/runs:${STATE_DIR:-/pantheon}/runs."
            else:
                self.refuse(
                    f"a volume of type {kind} without a source at {target} cannot be honoured by the local engine."
                )
            if os.path.normpath(source) != os.path.normpath(target):
                self.refuse(f"a process cannot see {source} at {target}; both must be the same folder here.", cure)
            if not Path(source).is_file():
                found.append(source)
        return found

    def secrets(self) -> list[str]:
        found = []
        home = self.place.state / "secrets"
        for entry in self.raw.get("secrets") or []:
            self.known("secrets", entry)
            name, target = str(entry["source"]), str(entry.get("target") or "")
            file = (self.model.get("secrets") or {}).get(name, {}).get("file")
            if not file:
                self.refuse(
                    f"the secret {name} does not come from a file.", "Write `file: ${PANTHEON_STATE}/secrets/NAME`."
                )
            plain = target in ("", name, f"/run/secrets/{name}") and file == str(home / name)
            if target != file and not plain:
                self.refuse(
                    f"the secret {name} lies at {file} and cannot be seen at {target}.",
                    "Use ${SECRETS_DIR:-/run/secrets}/NAME.",
                )
            found.append(str(file))
        return found

    def health(self) -> Health | None:
        check = self.raw.get("healthcheck") or {}
        self.known("healthcheck", check)
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
        found = {}
        services = self.model["services"]
        for needed, entry in (self.raw.get("depends_on") or {}).items():
            self.known("depends_on", entry)
            absent = needed not in services or (services[needed].get("profiles") and not self.raw.get("profiles"))
            if absent and entry.get("required", True):
                self.refuse(
                    f"it depends on {needed}, which is not part of the model.", f"Take the profiles off {needed}."
                )
            if absent:
                continue
            condition = entry.get("condition", STARTED)
            check = services[needed].get("healthcheck") or {}
            if condition == HEALTHY and (not check.get("test") or check.get("disable") or check["test"][0] == "NONE"):
                self.refuse(f"it waits for {needed} to be healthy, which has no health check.")
            if condition not in (STARTED, HEALTHY, COMPLETED):
                self.refuse(f"the condition {condition} is not known.")
            found[needed] = condition
        return found

    def ports(self) -> tuple[list[int], str]:
        found, address = [], ""
        for entry in self.raw.get("ports") or []:
            self.known("ports", entry)
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
                    f"port {target} is published as {published or 'a random number'}; a process has one number.",
                    "Use the same ${X_PORT:-…} on both sides.",
                )
            scheme = entry.get("app_protocol")
            address = address or (f"{scheme}://{LOOPBACK}:{target}" if scheme else f"{LOOPBACK}:{target}")
            found.append(int(target))
        for port in self.raw.get("expose") or []:
            number = str(port).removesuffix("/tcp")
            if not number.isdecimal():
                self.refuse(f"the exposed port {port} is not one TCP port.")
            address = address or f"{LOOPBACK}:{number}"
            found.append(int(number))
        return sorted(set(found)), address


def check_secrets(service: Service) -> None:
    """Refuse to start ``service`` where a secret's file is missing or can be read by others."""
    for file in service.secrets:
        try:
            mode = Path(file).stat().st_mode
        except OSError:
            raise PantheonError(
                f"The secret of service {service.name} is missing: there is no file {file}.",
                "The command line's `up` makes the secrets.",
            ) from None
        if mode & 0o077:
            raise PantheonError(
                f"The secret {file} of service {service.name} can be read by others (mode {mode & 0o777:04o}).",
                f"Run chmod 600 {file}.",
            )


def services(place: Place, model: dict[str, Any], environments: Callable[[str], Path]) -> dict[str, Service]:
    """Every service of the resolved ``model`` in start order, those with profiles included.

    Raises:
        PantheonError: an unknown key, or a meaning that native processes cannot keep; names key, service and file.
    """
    for key in model:
        if key not in TOP and not key.startswith("x-"):
            raise PantheonError(
                f"{place.file}: the local engine does not know the key {key}.",
                "docs/compose-keys.md lists what it knows.",
            )
    if not model.get("services"):
        raise PantheonError(f"{place.file} has no services.")
    found = {name: Reader(place, model, environments, name).service() for name in model["services"]}
    takers: dict[int, str] = {}
    for service in (service for service in found.values() if not service.task):
        for port in service.ports:
            if port in takers:
                raise PantheonError(
                    f"{place.file}: services {takers[port]} and {service.name} both listen on port {port}."
                )
            takers[port] = service.name
    return {name: found[name] for name in start_order(found)}
