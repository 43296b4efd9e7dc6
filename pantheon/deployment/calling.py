"""Run the commands of a user on a deployment, each in a process of its own, and take their time."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pantheon import state
from pantheon.errors import PantheonError
from pantheon.processes import bound_to_me
from pantheon.tiers import ROOT

KEPT = ("PANTHEON_CA", "PANTHEON_TIERS")
FOREIGN = ("PANTHEON_", "S3_", "AWS_", "OIDC_")  # settings of the user's own deployment


def isolated(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment for deployments below ``home``: nothing of it points at the user's own deployments."""
    own = {
        key: value
        for key, value in environment.items()
        if key in KEPT or not (key.startswith(FOREIGN) or key.endswith("_PORT"))
    }
    return own | {"PANTHEON_HOME": str(home)}


@contextmanager
def isolation(home: Path) -> Iterator[None]:
    """Let this process act on deployments below ``home`` during the block."""
    own = os.environ.copy()
    changed = isolated(own, home)
    os.environ.clear()
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(own)


class Commands:
    """Calls ``pantheon`` for one deployment; what it prints goes to a log.

    Args:
        home: the folder of the deployment's folder.
        name: the deployment's name.
        log: the file that gets the output of all commands.
        environment: the commands' environment; None: without the settings of the user's own deployment.
    """

    def __init__(self, home: Path, name: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home, self.name, self.log = home, name, log
        self.environment = isolated(os.environ, home) if environment is None else environment

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command; it ends with this process."""
        with self.log.open("ab") as errors:
            errors.write(f"\n$ pantheon {' '.join(arguments)}\n".encode())
            errors.flush()
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "pantheon", *arguments, "--name", self.name, "--json"],
                env={**self.environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=bound_to_me(),
            )

    def __call__(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> tuple[float, Any]:
        """Return the seconds that a command took, and the JSON that it printed; None for none.

        Raises:
            PantheonError: it failed; carries the end of what it printed.
        """
        begin = time.monotonic()
        process = self.start(*arguments)
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        took = time.monotonic() - begin
        if process.returncode not in accept:
            raise PantheonError(f"`pantheon {arguments[0]}` failed: {self.last_line()}", f"The log: {self.log}", 1)
        return took, json.loads(output) if output.strip() else None

    def last_line(self) -> str:
        """Return the last line of the log: the message of the command that failed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1].removeprefix("pantheon: ")[:400] if lines else ""


def destroy(home: Path, log: Path) -> list[str]:
    """Destroy all deployments below ``home``, also those that a killed command left. Return their names.

    Raises:
        PantheonError: a deployment could not be destroyed.
    """
    names = []
    for folder in sorted(path for path in home.glob("*") if path.is_dir()):
        if state.exists(folder):
            Commands(home, folder.name, log)("destroy", "--confirm", "yes")
            names.append(folder.name)
        else:  # it was killed before it started anything
            shutil.rmtree(folder)
    return names
