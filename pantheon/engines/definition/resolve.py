"""Resolve a deployment's compose files with the docker-compose binary."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pantheon import components as read_components
from pantheon.engines import Options
from pantheon.engines.definition import components
from pantheon.engines.definition.model import Model
from pantheon.errors import PantheonError

LOOPBACK = "127.0.0.1"
VARIABLE = re.compile(r"^(\w+)\s+(?:true|false)\s*(\S*)")


def binary() -> str:
    """Return the path of ``docker-compose``: in this Python's folder, or on the PATH."""
    beside = Path(sys.executable).parent / "docker-compose"
    path = str(beside) if beside.exists() else shutil.which("docker-compose")
    if not path:
        raise PantheonError(
            "docker-compose is not installed; it is required to read the compose files.",
            "Install requirements/cli.txt.",
            1,
        )
    return path


@dataclass
class Definition:
    """The compose files of one deployment, and the docker-compose commands that use them.

    Attributes:
        options: the deployment.
        interpolate: returns this engine's values for the variables of the files (name → default).
        own: variables for docker-compose itself, such as PATH and DOCKER_HOST; they are not interpolated.
        values: more values to interpolate; they take precedence over ``interpolate``.
        overrides: more files, in order; later ones override earlier ones.
        listed: returns the files' variables, if another definition of the same files knows them: its ``variables``.
    """

    options: Options
    interpolate: Callable[[Mapping[str, str]], dict[str, str]]
    own: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)
    overrides: list[Path] = field(default_factory=list)
    listed: Callable[[], dict[str, str]] | None = None
    _left_out: dict[str, list[str]] = field(default_factory=dict)
    _variables: dict[str, str] | None = None
    _interpolated: dict[str, str] | None = None

    @property
    def file(self) -> Path:
        return self.options.definition.absolute()

    def command(self, *arguments: str) -> list[str]:
        """Return a docker-compose command with this deployment's files."""
        return [binary(), *self._project(str), *arguments]

    def shown(self, *arguments: str) -> str:
        """Return the same command as a user would type it."""
        return shlex.join(["docker", "compose", *self._project(os.path.relpath), *arguments])

    def _project(self, name: Callable[[Path], str]) -> list[str]:
        files = [argument for file in (self.file, *self.overrides) for argument in ("-f", name(file))]
        return ["-p", self.options.name, *files]

    def variables(self) -> dict[str, str]:
        """Return the default of each variable in the files."""
        if self._variables is None:
            own = {"PANTHEON_NAME": self.options.name, "PANTHEON_STATE": str(self.options.state.resolve())}
            listed = self.run("config", "--variables", environment=self.own | own | self.values)
            matches = (VARIABLE.match(line) for line in listed.splitlines()[1:])
            self._variables = {match[1]: match[2] for match in matches if match}
        return self._variables

    def environment(self) -> dict[str, str]:
        """Return docker-compose's environment: the values to interpolate and the variables it needs itself."""
        own = {"PANTHEON_NAME": self.options.name, "PANTHEON_STATE": str(self.options.state.resolve()), **self.values}
        if self._interpolated is None:
            self._interpolated = self.interpolate(self.listed() if self.listed else self.variables())
        return self.own | self._interpolated | own

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Return the output of a docker-compose command that does not need a Docker engine; includes profiles.

        Raises:
            PantheonError: docker-compose rejected the file; carries its message.
        """
        if not self.file.is_file():
            raise PantheonError(f"there is no compose file {self.file}.")
        given = self.environment() if environment is None else environment
        command = ["--profile", "*", *arguments]
        self.options.echo(shlex.join(["docker-compose", *self._project(os.path.relpath), *command]))
        done = subprocess.run(
            self.command(*command), env=dict(given), cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PantheonError(
                f"{self.file} cannot be used: {reason(done.stderr) or f'it exited with {done.returncode}'}.",
                "Fix the compose file, or set the variable that it requires.",
            )
        return done.stdout

    def resolve(self) -> Model:
        """Return the model with resolved includes and variables. Left-out components are removed; profiles are kept.

        Raises:
            PantheonError: docker-compose rejected the files, or a service needs a component that is left out.
        """
        text = self.run("config")
        raw = load(text.replace("$$", "$"))  # Compose prints every dollar sign twice
        if not isinstance(raw, dict) or not raw.get("services"):
            raise PantheonError(f"{self.file} has no services.")
        services = raw["services"]
        components.mark(services, self.file)
        left = components.left_out(services, self.options.without)
        for name in left:  # empty if an override has already removed them
            needs = {other: service.get("depends_on") or {} for other, service in services.items()}
            self._left_out[name] = [other for other in needs if name in needs[other]]
        raw["services"] = components.kept(services, left)
        return Model(raw, hashlib.sha256(text.encode()).hexdigest(), dict(self._left_out))


def reason(stderr: str) -> str:
    """Return the last lines of docker-compose's standard error that are not progress."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(("time=", " "))]
    return "; ".join(lines[-2:])


def load(text: str) -> Any:
    """Parse YAML, with the C parser if available: it is ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506, both are safe


def defining(file: Path, service: str) -> list[Path]:
    """Return the files that define ``service``, among ``file`` and its includes. For messages."""
    raw = read_components.load(file.read_text(encoding="utf-8"))
    files = []
    for entry in raw.get("include") or []:
        paths = entry.get("path", []) if isinstance(entry, dict) else entry
        for path in [paths] if isinstance(paths, str) else paths:
            files += defining(file.parent / path, service) if "$" not in path else []
    return [*files, file] if service in (raw.get("services") or {}) else files
