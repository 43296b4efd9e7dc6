"""Resolves a tier's compose file for containers, as plain ``docker compose`` does, with this deployment's values."""

import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pantheon.engines import Planned, components
from pantheon.engines.compose import LOOPBACK, VARIABLE, binary, load
from pantheon.engines.keys import ONE_OFF
from pantheon.engines.model import COMPLETED
from pantheon.errors import PantheonError

PASSED = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_CONFIG")
OURS = "pantheon/"
CA = "/etc/pantheon/ca.pem"
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


@dataclass
class Project:
    """One deployment as a Compose project.

    Attributes:
        name: the project's name.
        state: the deployment's state folder.
        file: the tier's compose file.
        port_offset: added to the default of every ``X_PORT`` variable.
        values: what else is interpolated: PUID, PGID, the images' tags.
        user: the user's environment.
        host: the engine's address; empty where none answers, which only ``config`` can do without.
        echo: called with each command before it runs.
        overrides: more files, each changing what the ones before it say.
        without: components that are left out.
        left_out: their services, each with the names of those that would wait for it and can do without it; known
            once the model was resolved.
    """

    name: str
    state: Path
    file: Path
    port_offset: int
    values: dict[str, str]
    user: Mapping[str, str]
    host: str
    echo: Callable[[str], None]
    overrides: list[Path] = field(default_factory=list)
    without: frozenset[str] = frozenset()
    left_out: dict[str, list[str]] = field(default_factory=dict)
    _asked: dict[str, str] | None = None

    def base(self) -> dict[str, str]:
        passed = {key: value for key, value in self.user.items() if key in PASSED}
        return passed | ({"DOCKER_HOST": self.host} if self.host else {})

    def surroundings(self) -> dict[str, str]:
        """The environment of docker-compose: values to interpolate, what it needs itself, nothing else."""
        own = {"PANTHEON_NAME": self.name, "PANTHEON_STATE": str(self.state), **self.values}
        if self._asked is None:
            listed = self.run("config", "--variables", environment=self.base() | own, quiet=True)
            found = (VARIABLE.match(line) for line in listed.splitlines()[1:])
            self._asked = self.interpolation({m[1]: m[2] for m in found if m})
        return self.base() | self._asked | own

    def interpolation(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Ports moved by the offset; of the user's own, only what cannot mean a place inside the container."""
        values = {}
        for name, default in variables.items():
            if name.endswith(("_HOST", "_DIR", "_ENVIRONMENT")) or name == "SOURCE_ROOT":
                continue
            if name in self.user:
                values[name] = self.user[name]
            elif name.endswith("_PORT") and default.isdecimal():
                values[name] = str(int(default) + self.port_offset)
        return values

    def command(self, *words: str) -> list[str]:
        files = [word for file in (self.file, *self.overrides) for word in ("-f", str(file))]
        return [binary(), "-p", self.name, *files, *words]

    def shown(self, *words: str) -> str:
        """The command as a person would type it."""
        files = [word for file in (self.file, *self.overrides) for word in ("-f", os.path.relpath(file))]
        return shlex.join(["docker", "compose", "-p", self.name, *files, *words])

    def run(self, *words: str, environment: Mapping[str, str] | None = None, quiet: bool = False) -> str:
        """What a command of docker-compose that asks no engine prints.

        Raises:
            PantheonError: it refuses the file; its words.
        """
        if not quiet:
            self.echo(self.shown(*words))
        command = self.command("--profile", "*", *words)
        done = subprocess.run(
            command, env=dict(environment or self.surroundings()), cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PantheonError(
                f"{self.file} cannot be used: {reason(done.stderr) or f'it exited with {done.returncode}'}.",
                "Correct the compose file, or set what it asks for.",
            )
        return done.stdout

    def resolve(self) -> "Model":
        text = self.run("config", quiet=True)
        raw = load(text.replace("$$", "$"))
        if not isinstance(raw, dict) or not raw.get("services"):
            raise PantheonError(f"{self.file} has no services.")
        services = raw["services"]
        left = components.left_out(services, self.without)
        for name in left:  # none where the override has already taken them out
            self.left_out[name] = [other for other, each in services.items() if name in (each.get("depends_on") or {})]
        raw["services"] = components.kept(services, left)
        return Model(raw, hashlib.sha256(text.encode()).hexdigest())


def reason(stderr: str) -> str:
    """The last words of docker-compose that are not progress."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(("time=", " "))]
    return "; ".join(lines[-2:])


@dataclass(frozen=True)
class Model:
    """The resolved model.

    Attributes:
        raw: Compose's mapping.
        digest: changes when anything in it does.
    """

    raw: dict[str, Any]
    digest: str

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """In start order."""
        found: dict[str, dict[str, Any]] = {}

        def visit(name: str) -> None:
            if name in self.raw["services"] and name not in found:
                for needed in sorted(self.raw["services"][name].get("depends_on") or {}):
                    visit(needed)
                found.setdefault(name, self.raw["services"][name])

        for name in self.raw["services"]:
            visit(name)
        return found

    @property
    def started(self) -> dict[str, dict[str, Any]]:
        """What ``up`` starts: all but the services with profiles."""
        return {name: service for name, service in self.services.items() if not service.get("profiles")}

    @property
    def must_complete(self) -> set[str]:
        needs = [(service.get("depends_on") or {}).items() for service in self.services.values()]
        waited = {name for each in needs for name, entry in each if entry.get("condition") == COMPLETED}
        return waited | {name for name, service in self.services.items() if service.get(ONE_OFF)}

    def environments(self) -> list[str]:
        """The names of our own images (``serving``), in start order."""
        return list(dict.fromkeys(n.removeprefix(OURS).partition(":")[0] for n in self.images() if n.startswith(OURS)))

    def images(self, only: str = "") -> list[str]:
        """The images of one service, or of all, in start order."""
        services = {only: self.services[only]} if only else self.services
        return list(dict.fromkeys(str(service["image"]) for service in services.values() if service.get("image")))

    def sources(self, below: Path) -> list[Path]:
        """Folders and files under ``below`` that services see: binds and secrets."""
        found = [
            Path(entry["source"])
            for service in self.services.values()
            for entry in service.get("volumes") or []
            if entry.get("type") == "bind"
        ]
        found += [Path(secret["file"]) for secret in (self.raw.get("secrets") or {}).values() if secret.get("file")]
        return sorted({path for path in found if path.is_relative_to(below) and path != below})

    def inside(self, service: str, word: str) -> str:
        """A path of this machine as the container of ``service`` sees it; any other word as it is."""
        if not word.startswith("/"):
            return word
        binds = [e for e in self.raw["services"][service].get("volumes") or [] if e.get("type") == "bind"]
        for entry in sorted(binds, key=lambda e: -len(e["source"])):
            if Path(word).is_relative_to(entry["source"]):
                return str(Path(entry["target"]) / Path(word).relative_to(entry["source"]))
        return word

    def planned(self) -> list[Planned]:
        found = []
        for name, service in self.services.items():
            image = str(service.get("image") or "")
            ports = tuple(sorted({int(e["published"]) for e in service.get("ports") or [] if e.get("published")}))
            environment = image.removeprefix(OURS).partition(":")[0] if image.startswith(OURS) else image
            found.append(Planned(name, environment, ports, address(service), bool(service.get("profiles"))))
        return found


def address(service: Mapping[str, Any]) -> str:
    """The first published port for people, such as ``http://127.0.0.1:8080``; empty for none."""
    for entry in service.get("ports") or []:
        if published := entry.get("published"):
            scheme = entry.get("app_protocol")
            host = entry.get("host_ip") or LOOPBACK
            return f"{scheme}://{host}:{published}" if scheme else f"{host}:{published}"
    return ""


def write_override(
    path: Path,
    model: Model,
    ca: Path | None,
    start_interval: bool,
    left_out: Mapping[str, list[str]] | None = None,
) -> bool:
    """Write the compose file with what this machine needs changed; whether there is anything.

    Args:
        ca: certificates to mount into every service and to name in the usual variables.
        start_interval: the engine knows this key of health checks; where it does not, it is taken out.
        left_out: services to take out, so that Compose removes their containers as orphans; see ``Project``.
    """
    services: dict[str, Any] = {name: Reset() for name in left_out or {}}
    for name, service in model.services.items():
        changes: dict[str, Any] = {}
        if ca:
            changes["volumes"] = [f"{ca}:{CA}:ro"]
            changes["environment"] = dict.fromkeys(CA_VARIABLES, CA)
        if not start_interval and (service.get("healthcheck") or {}).get("start_interval"):
            changes["healthcheck"] = {"start_interval": Reset()}
        waited = [needed for needed, others in (left_out or {}).items() if name in others]
        if waited:
            changes["depends_on"] = {needed: Reset() for needed in waited}
        if changes:
            services[name] = changes
    if not services:
        path.unlink(missing_ok=True)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump({"services": services}, Dumper=Dumper), encoding="utf-8")
    return True


class Reset:
    """Compose's ``!reset``: the key as if it had not been written."""


class Dumper(yaml.SafeDumper):
    pass


Dumper.add_representer(Reset, lambda dumper, _: dumper.represent_scalar("!reset", "null"))
