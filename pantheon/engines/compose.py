"""Resolves compose files with the real Compose binary, for processes of this machine instead of containers."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pantheon.errors import PantheonError

LOOPBACK = "127.0.0.1"
VARIABLE = re.compile(r"^(\w+)\s+(?:true|false)\s*(\S*)")


@dataclass(frozen=True)
class Place:
    """Where a deployment lives, and what interpolation needs to know of it."""

    name: str
    state: Path
    file: Path
    port_offset: int
    user: Mapping[str, str]
    echo: Callable[[str], None]
    root: Path
    environments: Callable[[str], Path]


def binary() -> str:
    """The path of ``docker-compose``, beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / "docker-compose"
    found = str(beside) if beside.exists() else shutil.which("docker-compose")
    if not found:
        raise PantheonError(
            "docker-compose is not there, and the local engine reads the compose files with it.",
            "Install requirements/cli.txt.",
            1,
        )
    return found


def ask(place: Place, environment: Mapping[str, str], *words: str) -> str:
    """What ``docker-compose -f FILE --profile * config …`` prints. It asks no Docker engine."""
    command = [binary(), "-f", str(place.file), "--profile", "*", "config", *words]
    place.echo(f"docker-compose -f {os.path.relpath(place.file)} --profile '*' config {' '.join(words)}".strip())
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith("time=")]
        reason = "; ".join(lines[-3:]) or f"it exited with {done.returncode}"
        raise PantheonError(
            f"{place.file} cannot be used: {reason}.", "Correct the compose file, or set what it asks for."
        )
    return done.stdout


def interpolation(place: Place, variables: Mapping[str, str]) -> dict[str, str]:
    """The value of each of ``variables`` (name → default in the files) for processes of this machine.

    Hosts are the loopback address, folders lie in the state folder, environments are this machine's, ports move by
    ``PORT_OFFSET``; a port that is set in the user's environment stays as it is.
    """
    state = str(place.state)
    values = {
        "PANTHEON_NAME": place.name,
        "PANTHEON_STATE": state,
        "STATE_DIR": state,
        "SECRETS_DIR": f"{state}/secrets",
        "SOURCE_ROOT": str(place.root),
    }
    for name, default in variables.items():
        if name in values:
            continue
        if name.endswith("_HOST"):
            values[name] = LOOPBACK
        elif name.endswith("_DIR"):
            values[name] = f"{state}/volumes/{name[:-4].lower()}"
        elif name.endswith("_ENVIRONMENT"):
            values[name] = str(place.environments(name[:-12].lower()))
        elif name in place.user:
            values[name] = place.user[name]
        elif name.endswith("_PORT") and default and "$" not in default:  # a nested default is another variable's
            if not default.isdecimal():
                raise PantheonError(
                    f"{place.file}: the default of {name} is {default!r}, not a port.", "Write a number there."
                )
            values[name] = str(int(default) + place.port_offset)
    return values


def resolve(place: Place) -> dict[str, Any]:
    """The model of ``place.file``: includes and variables resolved, profiles included; Compose's own mapping."""
    if not place.file.is_file():
        raise PantheonError(f"there is no compose file {place.file}.")
    passed = {key: value for key, value in place.user.items() if key in ("PATH", "HOME")}
    found = (VARIABLE.match(line) for line in ask(place, passed, "--variables").splitlines()[1:])
    values = interpolation(place, {match[1]: match[2] for match in found if match})
    text = ask(place, passed | values)
    model = load(text.replace("$$", "$"))  # Compose doubles every dollar it prints
    if not isinstance(model, dict):
        raise PantheonError(f"{place.file} has no services.")
    return model


def load(text: str) -> Any:
    """YAML by the C parser where there is one: ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506, both are safe


def defining(file: Path, service: str) -> list[Path]:
    """The files that say something of ``service``: ``file`` and those it includes. For messages."""
    raw = load(file.read_text(encoding="utf-8"))
    found = []
    for entry in raw.get("include") or []:
        paths = entry.get("path", []) if isinstance(entry, dict) else entry
        for path in [paths] if isinstance(paths, str) else paths:
            found += defining(file.parent / path, service) if "$" not in path else []
    return [*found, file] if service in (raw.get("services") or {}) else found
