"""The environments of services: one per ``requirements/NAME.txt``, created by ``bin/bootstrap``."""

import subprocess
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pantheon import terminal
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT


def folder_of(name: str) -> Path:
    """Return the folder of the environment ``name``, which may not exist yet."""
    return ROOT / ".pantheon" / "envs" / name


def packages_of(name: str) -> Path:
    """Return the folder of its packages: a link to ``site-packages``, whose path depends on the version of Python."""
    return folder_of(name) / "packages"


def is_current(name: str) -> bool:
    """Return whether the environment works and was created from the current lock.

    Its Python may be gone after an upgrade of the system.
    """
    lock, stamp = ROOT / "requirements" / f"{name}.txt", folder_of(name) / ".lock"
    works = packages_of(name).exists() and (folder_of(name) / "bin" / "python").exists()
    return works and stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def make(names: list[str]) -> None:
    """Create the missing environments in parallel and show the progress.

    Raises:
        PantheonError: an environment could not be installed; carries the installer's message. The others are finished.
    """
    missing = [name for name in dict.fromkeys(names) if not is_current(name)]
    if not missing:
        return
    errors: list[PantheonError] = []
    with terminal.steps() as steps, ThreadPoolExecutor(len(missing)) as pool:
        steps.start("installer (uv)")
        _bootstrap([])  # once, before the environments that need it
        steps.drop("installer (uv)")
        making = {pool.submit(_bootstrap, [name]): f"environment {name}" for name in missing}
        for step in making.values():
            steps.start(step)
        for done in as_completed(making):
            error = done.exception()
            steps.end(making[done], "failed" if error else "done")
            if isinstance(error, PantheonError):
                errors.append(error)
            elif error:
                raise error
    if errors:
        raise errors[0]


def _bootstrap(names: list[str]) -> None:
    done = subprocess.run([ROOT / "bin" / "bootstrap", *names], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip()[-2000:].replace("pantheon: ", "")
        raise PantheonError(lines or f"{' '.join(names)} could not be installed.", status=1)
