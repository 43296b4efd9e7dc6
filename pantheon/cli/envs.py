"""The environments that services run in: one for each ``requirements/NAME.txt``, made by ``bin/bootstrap``."""

import subprocess
from pathlib import Path

from pantheon.cli import show
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT


def folder_of(name: str) -> Path:
    """The folder of the environment ``name``, whether it is made yet or not."""
    return ROOT / ".pantheon" / "envs" / name


def is_current(name: str) -> bool:
    """Whether the environment is there and made from the lock as it is now."""
    lock, stamp = ROOT / "requirements" / f"{name}.txt", folder_of(name) / ".lock"
    return stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def prepare(engine: Engine, names: list[str]) -> None:
    """Make the environments that an engine runs services in; containers have theirs in their images."""
    if engine.name == "local":
        make(names)


def make(names: list[str]) -> None:
    """Make what is missing, with progress.

    Raises:
        PantheonError: one could not be installed; carries the installer's words.
    """
    missing = [name for name in dict.fromkeys(names) if not is_current(name)]
    with show.steps() as steps:
        for name in missing:
            step = f"environment {name}"
            steps.start(step)
            done = subprocess.run([ROOT / "bin" / "bootstrap", name], capture_output=True, text=True, check=False)
            if done.returncode:
                steps.end(step, "failed")
                raise PantheonError(
                    done.stderr.strip().removeprefix("pantheon: ")[-2000:] or f"{step} failed.", status=1
                )
            steps.end(step)
